"""Reads the pages of an LMDB file by itself, checking every number it finds there.

LMDB trusts its file: a flipped byte can crash it. A trace may come from anywhere, so it is never opened by LMDB for
reading. Reading this way also needs no lock file and no write permission, survives a fork, and cannot fault when the
file shrinks, because it uses pread and no mapping. LMDB never overwrites a page of the newest commit, so a reader that
finds the same commit before and after has read one consistent state, even while another process writes.

Source of the format: `mdb.c` of LMDB 0.9, structures MDB_meta, MDB_db, MDB_page, MDB_node.
"""

from __future__ import annotations

import os
import struct
import time

from retroscope.trace.errors import DamagedTrace, NotATrace, TraceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    _T = TypeVar("_T")

_MAGIC = 0xBEEFC0DE
_DATA_VERSION = 1
_PAGE = struct.Struct("<QHHHH")  # page number, padding, flags, lower, upper
_META = struct.Struct("<IIQQ")  # magic, version, address, map size; then two MDB_db, then:
_META_END = struct.Struct("<QQ")  # last page, transaction
_DB = struct.Struct("<IHHQQQQQ")  # padding, flags, depth, branch, leaf and overflow pages, entries, root
_NODE = struct.Struct("<HHHH")  # low and high half of size or page, flags, size of the key
_U64 = struct.Struct("<Q")

_P_BRANCH, _P_LEAF, _P_META = 0x01, 0x02, 0x08
_BIG_DATA, _SUB_DATABASE = 0x01, 0x02
_NO_PAGE = (1 << 64) - 1
_MOST_DEPTH = 32  # levels of a tree
_META_BYTES = _META.size + 2 * _DB.size + _META_END.size


class Database:
    """Where a tree begins and how many entries it must have."""

    __slots__ = ("depth", "entries", "flags", "root")

    def __init__(self, packed: bytes, at: int) -> None:
        _, self.flags, self.depth, _, _, _, self.entries, self.root = _DB.unpack_from(packed, at)


class Snapshot:
    """One commit: its number, its root and its size."""

    __slots__ = ("free", "last_page", "main", "page_size", "transaction")

    def __init__(self, meta: bytes, page_size: int) -> None:
        self.page_size = page_size
        self.free = Database(meta, _META.size)  # the list of free pages
        self.main = Database(meta, _META.size + _DB.size)
        self.last_page, self.transaction = _META_END.unpack_from(meta, _META.size + 2 * _DB.size)


class Place:
    """Where in the file the bytes of a value lie."""

    __slots__ = ("offset", "size")

    def __init__(self, offset: int, size: int) -> None:
        self.offset = offset
        self.size = size


class PageFile:
    """The tables of an LMDB file behind a descriptor that the caller owns; `name` is for messages."""

    def __init__(self, descriptor: int, name: str) -> None:
        self.descriptor = descriptor
        self.name = name

    def damaged(self, why: str) -> DamagedTrace:
        return DamagedTrace(self.name, why)

    def read(self, place: Place) -> bytes:
        """The bytes at `place`."""
        data = os.pread(self.descriptor, place.size, place.offset)
        if len(data) != place.size:
            raise self.damaged("it is cut short")
        return data

    # --- commits

    def snapshots(self) -> list[Snapshot]:
        """The two newest commits, newest first; DamagedTrace when one cannot be read, NotATrace if it is no LMDB."""
        start = os.pread(self.descriptor, _PAGE.size + _META_BYTES, 0)
        page_size = self._page_size(start)
        found = []
        for number in (0, 1):
            head = os.pread(self.descriptor, _PAGE.size + _META_BYTES, number * page_size)
            found.append(self._meta(head, number, page_size))
        size = os.fstat(self.descriptor).st_size
        if any(size < (snapshot.last_page + 1) * page_size for snapshot in found):
            raise self.damaged("it is cut short")
        found.sort(key=lambda snapshot: snapshot.transaction, reverse=True)
        return found

    def settled(self) -> list[Snapshot]:
        """`snapshots`, tried again for a moment in case another process is writing one of them."""
        for _ in range(3):
            try:
                return self.snapshots()
            except DamagedTrace:
                time.sleep(0.002)
        return self.snapshots()

    def _page_size(self, start: bytes) -> int:
        if not start:
            raise NotATrace(self.name, "it is empty")
        if len(start) < _PAGE.size + _META_BYTES:
            raise NotATrace(self.name, "it is too short")
        magic, version, _, _ = _META.unpack_from(start, _PAGE.size)
        if magic != _MAGIC:
            if self._second_meta_is_whole():
                raise self.damaged("its first page is not what it was")
            raise NotATrace(self.name, "it is no LMDB database")
        size: int = _DB.unpack_from(start, _PAGE.size + _META.size)[0]
        if version != _DATA_VERSION or not 512 <= size <= 65536 or size & (size - 1):
            raise self.damaged("its first page is not what it was")
        return size

    def _second_meta_is_whole(self) -> bool:
        for page_size in (4096, 8192, 16384, 32768, 65536):
            head = os.pread(self.descriptor, _PAGE.size + 4, page_size)
            if len(head) == _PAGE.size + 4 and struct.unpack_from("<I", head, _PAGE.size)[0] == _MAGIC:
                return True
        return False

    def _meta(self, head: bytes, number: int, page_size: int) -> Snapshot:
        if len(head) < _PAGE.size + _META_BYTES:
            raise self.damaged("it is cut short")
        page, _, flags, _, _ = _PAGE.unpack_from(head)
        magic, version, _, _ = _META.unpack_from(head, _PAGE.size)
        if (page, magic, version) != (number, _MAGIC, _DATA_VERSION) or not flags & _P_META:
            raise self.damaged("one of its first pages is not what it was")
        snapshot = Snapshot(head[_PAGE.size :], page_size)
        if snapshot.transaction & 1 != number and snapshot.transaction:
            raise self.damaged("one of its first pages is not what it was")
        return snapshot

    # --- trees

    def tables(self, snapshot: Snapshot) -> dict[bytes, Database]:
        """The named databases of a commit."""
        return {name: Database(packed, 0) for name, packed in self._main(snapshot)}

    def _main(self, snapshot: Snapshot) -> Iterator[tuple[bytes, bytes]]:
        for name, packed, flags in self._walk(snapshot, snapshot.main):
            if not flags & _SUB_DATABASE or not isinstance(packed, bytes) or len(packed) != _DB.size:
                raise NotATrace(self.name, "it is an LMDB database of something else")
            yield name, packed

    def entries(self, snapshot: Snapshot, database: Database) -> Iterator[tuple[bytes, bytes | Place]]:
        """All keys in order, each with its value or, for large ones, the place of its value."""
        for key, value, flags in self._walk(snapshot, database):
            if flags & _SUB_DATABASE:
                raise self.damaged("a table is where a value should be")
            yield key, value

    def table(self, name: bytes) -> dict[bytes, bytes]:
        """Every entry of the named database in its newest state; empty when there is none of this name."""
        return self._consistent(name, self._whole)

    def table_at(self, snapshot: Snapshot, name: bytes) -> dict[bytes, bytes]:
        """The same in the state of one commit, which may be partly overwritten if it is not the newest."""
        return self._taken(snapshot, name, self._whole)

    def _whole(self, value: bytes | Place) -> bytes:
        return self.read(value) if isinstance(value, Place) else value

    def places(self, name: bytes) -> dict[bytes, bytes | Place]:
        """The same for a database whose values are large and never replaced: they are read when wanted."""
        return self._consistent(name, lambda value: value)

    def names(self) -> set[bytes]:
        """The names of the databases that there are."""
        return set(self._steady(self.tables))

    def _consistent(self, name: bytes, take: Callable[[bytes | Place], _T]) -> dict[bytes, _T]:
        return self._steady(lambda newest: self._taken(newest, name, take))

    def _taken(self, snapshot: Snapshot, name: bytes, take: Callable[[bytes | Place], _T]) -> dict[bytes, _T]:
        database = self.tables(snapshot).get(name)
        return {key: take(value) for key, value in self.entries(snapshot, database)} if database else {}

    def _steady(self, look: Callable[[Snapshot], _T]) -> _T:
        """`look` at one commit: while another process writes, a newer one may overtake; then it starts again."""
        while True:
            newest = self.settled()[0]
            try:
                found = look(newest)
            except TraceError:
                if self.settled()[0].transaction == newest.transaction:
                    raise
                continue
            if self.settled()[0].transaction == newest.transaction:
                return found

    def _walk(self, snapshot: Snapshot, database: Database) -> Iterator[tuple[bytes, bytes | Place, int]]:
        if database.flags:
            raise NotATrace(self.name, "it is an LMDB database of something else")
        count = 0
        previous: bytes | None = None
        if database.root != _NO_PAGE:
            for key, value, flags in self._subtree(snapshot, database.root, 1):
                if previous is not None and key <= previous:
                    raise self.damaged("its keys are out of order")
                previous = key
                count += 1
                yield key, value, flags
        if count != database.entries:
            raise self.damaged("entries are missing")

    def _subtree(self, snapshot: Snapshot, page: int, depth: int) -> Iterator[tuple[bytes, bytes | Place, int]]:
        if depth > _MOST_DEPTH:
            raise self.damaged("its tree is too deep")
        data, flags, count = self._tree_page(snapshot, page)
        for i in range(count):
            (at,) = struct.unpack_from("<H", data, _PAGE.size + 2 * i)
            if at + _NODE.size > len(data):
                raise self.damaged("a page points outside itself")
            low, high, node_flags, key_size = _NODE.unpack_from(data, at)
            start = at + _NODE.size
            if flags & _P_BRANCH:
                yield from self._subtree(snapshot, low | high << 16 | node_flags << 32, depth + 1)
                continue
            yield data[start : start + key_size], self._value(
                snapshot, data, start + key_size, low | high << 16, node_flags
            ), node_flags

    def _tree_page(self, snapshot: Snapshot, page: int) -> tuple[bytes, int, int]:
        """The bytes, the flags and the number of nodes of a branch or leaf page."""
        size = snapshot.page_size
        if not 2 <= page <= snapshot.last_page:
            raise self.damaged("a page number is impossible")
        data = os.pread(self.descriptor, size, page * size)
        if len(data) != size:
            raise self.damaged("it is cut short")
        own, _, flags, lower, upper = _PAGE.unpack_from(data)
        kind = flags & ~0x10  # P_DIRTY: a page that was written from memory
        if own != page or kind not in (_P_BRANCH, _P_LEAF) or not _PAGE.size < lower <= upper <= size:
            raise self.damaged("a page is not what it should be")
        return data, kind, (lower - _PAGE.size) // 2

    def _value(self, snapshot: Snapshot, data: bytes, at: int, size: int, flags: int) -> bytes | Place:
        if not flags & _BIG_DATA:
            if at + size > len(data):
                raise self.damaged("a value reaches outside its page")
            return data[at : at + size]
        if at + _U64.size > len(data):
            raise self.damaged("a value reaches outside its page")
        page = _U64.unpack_from(data, at)[0]
        pages = -(-(_PAGE.size + size) // snapshot.page_size)
        if not 2 <= page <= snapshot.last_page or page + pages - 1 > snapshot.last_page:
            raise self.damaged("a page number is impossible")
        return Place(page * snapshot.page_size + _PAGE.size, size)
