"""Checks every page that LMDB would touch if it wrote to a file, because LMDB itself trusts them all.

A file that passes has trees of whole pages, each used once, and a list of free pages that are used nowhere else. What
`pages.py` checks on every read is not repeated here.
Source of the format: `mdb.c` of LMDB 0.9, MDB_page, MDB_node, and the list of free pages (FREE_DBI).
"""

from __future__ import annotations

import itertools
import os
import struct

from retroscope.trace.pages import Database, PageFile, Place, Snapshot

_HEAD = struct.Struct("<QHHHH")  # page number, padding, flags, lower, upper
_OVERFLOW = struct.Struct("<QHHI")  # page number, padding, flags, pages
_NODE = struct.Struct("<HHHH")  # low and high half of size or page, flags, size of the key
_U64 = struct.Struct("<Q")
_P_BRANCH, _P_LEAF, _P_OVERFLOW = 0x01, 0x02, 0x04
_BIG_DATA, _SUB_DATABASE = 0x01, 0x02
_MOST_KEY = 511
_MOST_DEPTH = 20
_KNOWN_FLAGS = 0x4008  # MDB_NOSUBDIR, and MDB_INTEGERKEY of the list itself
_MAIN, _FREE, _VALUES = 0, 1, 2  # what the leaves of a tree hold: databases, lists of free pages, values
_NO_PAGE = (1 << 64) - 1


def check_whole(pages: PageFile) -> None:
    """DamagedTrace unless LMDB may write to the file; nobody else writes it meanwhile."""
    snapshot = pages.snapshots()[0]
    used: set[int] = {0, 1}
    _Check(pages, snapshot, used).all()


class _Check:
    """One walk over the newest commit; `used` are the pages that were seen."""

    def __init__(self, pages: PageFile, snapshot: Snapshot, used: set[int]) -> None:
        self._pages = pages
        self._snapshot = snapshot
        self._used = used
        self._lists: list[tuple[bytes, bytes]] = []  # of free pages, by the commit that freed them

    def all(self) -> None:
        if self._snapshot.free.flags & ~_KNOWN_FLAGS:
            raise self._bad("it is for other ways of opening it")
        self._tree(self._snapshot.main, _MAIN)
        self._tree(self._snapshot.free, _FREE)
        for key, data in self._lists:
            self._free_pages(key, data)
        for database in self._pages.tables(self._snapshot).values():
            self._tree(database, _VALUES)

    def _bad(self, why: str) -> Exception:
        return self._pages.damaged(why)

    def _use(self, page: int, count: int = 1) -> None:
        for number in range(page, page + count):
            if not 2 <= number <= self._snapshot.last_page or number in self._used:
                raise self._bad("a page is used twice")
            self._used.add(number)

    def _free_pages(self, key: bytes, data: bytes) -> None:
        """A list of free pages: their count, then the pages, the greatest first."""
        if len(key) != 8 or len(data) < 8 or len(data) % 8:
            raise self._bad("its list of free pages makes no sense")
        if not 0 < _U64.unpack(key)[0] <= self._snapshot.transaction:
            raise self._bad("its list of free pages makes no sense")
        count, *free = struct.unpack(f"<{len(data) // 8}Q", data)
        free = free[:count]
        if count != len(free) or any(a <= b for a, b in itertools.pairwise(free)):
            raise self._bad("its list of free pages makes no sense")
        for page in free:
            self._use(page)

    def _tree(self, tree: Database, what: int) -> None:
        if (tree.depth == 0) != (tree.root == _NO_PAGE) or tree.depth > _MOST_DEPTH:
            raise self._bad("a tree makes no sense")
        if tree.depth:
            self._page(tree.root, tree.depth, what)

    def _page(self, page: int, depth: int, what: int) -> None:
        """A page whose leaves are `depth` - 1 levels below."""
        self._use(page)
        size = self._snapshot.page_size
        data = os.pread(self._pages.descriptor, size, page * size)
        if len(data) != size:
            raise self._bad("it is cut short")
        _, _, flags, lower, upper = _HEAD.unpack_from(data)
        if flags != (_P_LEAF if depth == 1 else _P_BRANCH) or lower & 1 or not _HEAD.size < lower <= upper <= size:
            raise self._bad("a page is not what it should be")
        offsets = struct.unpack_from(f"<{(lower - _HEAD.size) // 2}H", data, _HEAD.size)
        spans = []
        for number, at in enumerate(offsets):
            if at + _NODE.size > size or at & 1:
                raise self._bad("a page points outside itself")
            low, high, node_flags, key_size = _NODE.unpack_from(data, at)
            taken = _NODE.size + key_size
            if depth > 1:
                if (number == 0) < (key_size == 0) or key_size > _MOST_KEY:
                    raise self._bad("a key is impossible")
                self._page(low | high << 16 | node_flags << 32, depth - 1, what)
            else:
                taken += self._leaf(data, at + taken, low | high << 16, node_flags, key_size, what)
            spans.append((at, at + taken + (taken & 1)))
        self._check_spans(sorted(spans), upper)

    def _check_spans(self, spans: list[tuple[int, int]], upper: int) -> None:
        """The nodes of a page fill it from `upper` to its end."""
        for start, end in spans:
            if start != upper:
                raise self._bad("the entries of a page overlap")
            upper = end
        if upper != self._snapshot.page_size:
            raise self._bad("the entries of a page overlap")

    def _leaf(self, data: bytes, at: int, size: int, flags: int, key_size: int, what: int) -> int:
        """Bytes that the value of a node takes in its page."""
        allowed = (_SUB_DATABASE,) if what == _MAIN else (0, _BIG_DATA)
        if flags not in allowed or not 0 < key_size <= _MOST_KEY:
            raise self._bad("an entry is impossible")
        big = flags & _BIG_DATA
        if at + (8 if big else size) > len(data):
            raise self._bad("a value reaches outside its page")
        place = self._overflow(_U64.unpack_from(data, at)[0], size) if big else None
        if what == _FREE:
            value = data[at : at + size] if place is None else self._pages.read(place)
            self._lists.append((data[at - key_size : at], value))
        return 8 if big else size

    def _overflow(self, page: int, size: int) -> Place:
        """The pages of a large value; the first one says how many they are."""
        page_size = self._snapshot.page_size
        count = -(-(_HEAD.size + size) // page_size)
        self._use(page, count)
        head = os.pread(self._pages.descriptor, _OVERFLOW.size, page * page_size)
        if len(head) != _OVERFLOW.size:
            raise self._bad("it is cut short")
        own, _, flags, pages = _OVERFLOW.unpack(head)
        if (own, flags, pages) != (page, _P_OVERFLOW, count):
            raise self._bad("a large value is not what it should be")
        return Place(page * page_size + _HEAD.size, size)
