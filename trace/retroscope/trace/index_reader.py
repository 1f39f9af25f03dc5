"""Reads the index of a trace: checked like everything else, and whatever is wrong with it concerns the index alone."""

from __future__ import annotations

import array
import bisect
import os
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from retroscope.trace.commits import check_commits
from retroscope.trace.errors import DamagedTrace, TraceError
from retroscope.trace.index_layout import (
    BLOCK,
    INDEX_BLOCKS,
    INDEX_KEYS,
    INDEX_META,
    INDEX_VERSION,
    KEYS,
    KEYS_ENTRY,
    MOST_BLOCK,
    MOST_KEYS,
    MOST_TICKS,
    ROWS,
    TICK_KEY,
    row_sum,
)
from retroscope.trace.layout import PROCESS_KEY
from retroscope.trace.pages import PageFile, Place
from retroscope.trace.tables import Tables


class UnusableIndex(TraceError):
    """The index cannot be read; the trace itself is as good as ever."""

    status = 1

    def __init__(self, path: str, why: str) -> None:
        remedy = f"`scope index --rebuild {path}` makes a new one"
        super().__init__(path, f"the index of {path} is not used ({why}); {remedy}")
        self.why = why


@dataclass(frozen=True, slots=True)
class BlockEntry:
    """A block of observations: ticks `first` to `last`, sent by an observer that began just before tick `segment`."""

    first: int
    last: int
    segment: int
    crc: int = field(compare=False, repr=False)
    """Of its body in the file."""
    keys: memoryview = field(compare=False, repr=False)
    """Sorted u32: what may occur in it."""

    def may_hold(self, key: int) -> bool:
        at = bisect.bisect_left(self.keys, key)
        return at < len(self.keys) and self.keys[at] == key


class IndexReader:
    """The index of one process as it was when this was made. `facts` are those that its builder left."""

    def __init__(self, path: str, pages: PageFile, process: int, facts: dict[str, object]) -> None:
        self.path = path
        self.process = process
        self.facts = facts
        self._tables = Tables(pages)
        self._prefix = PROCESS_KEY.pack(process)
        try:
            self.entries: list[BlockEntry] = list(self._entries())
            self._places = {
                key: place for key, place in self._tables.places(INDEX_BLOCKS).items() if key.startswith(self._prefix)
            }
        except DamagedTrace as error:
            raise UnusableIndex(path, "it is damaged") from error
        self._check_order()
        self._firsts = [entry.first for entry in self.entries]

    def close(self) -> None:
        pages = self._tables.pages
        if pages.descriptor >= 0:
            os.close(pages.descriptor)
            pages.descriptor = -1

    @property
    def complete(self) -> bool:
        """Whether every tick of the process is in it."""
        return self.facts.get("complete") is True

    @property
    def ticks(self) -> int:
        """How many ticks are in it."""
        return sum(entry.last - entry.first + 1 for entry in self.entries)

    @property
    def size(self) -> int:
        """Bytes that its blocks take in the file."""
        return sum(place.size if isinstance(place, Place) else len(place) for place in self._places.values())

    def at(self, tick: int) -> int | None:
        """The number of the block that has this tick, None when it is not indexed."""
        number = bisect.bisect_right(self._firsts, tick) - 1
        return number if number >= 0 and tick <= self.entries[number].last else None

    def block(self, number: int) -> bytes:
        """The observations of a block, for the functions of the core."""
        key = TICK_KEY.pack(self.process, self.entries[number].first)
        try:
            body = self._tables.body(INDEX_BLOCKS, key, self._places[key])
            if len(body) < BLOCK.size or zlib.crc32(body) != self.entries[number].crc:
                raise self._tables.damaged("a block is not the one that its keys are about")
            encoding, raw = BLOCK.unpack_from(body)
            if raw > MOST_BLOCK:
                raise self._tables.damaged("a block is impossibly large")
            return self._tables.unpacked(encoding, body[BLOCK.size :], raw)
        except (KeyError, DamagedTrace) as error:
            raise UnusableIndex(self.path, "it is damaged") from error

    def _entries(self) -> Iterator[BlockEntry]:
        total = 0
        for key, body in self._tables.rows(INDEX_KEYS):
            process, _ = self._tables.key(TICK_KEY, key)
            if process == self.process:
                total += row_sum(key, body)
                yield from self._row(body)
        if total != self.facts.get(ROWS):
            raise self._tables.damaged("the keys are not those that its facts are about")

    def _row(self, body: bytes) -> Iterator[BlockEntry]:
        if len(body) < KEYS.size:
            raise self._tables.damaged("a row of keys has no head")
        encoding, raw, blocks = KEYS.unpack_from(body)
        if raw > MOST_KEYS:
            raise self._tables.damaged("a row of keys is impossibly large")
        data = memoryview(self._tables.unpacked(encoding, body[KEYS.size :], raw))
        at = 0
        for _ in range(blocks):
            if at + KEYS_ENTRY.size > len(data):
                raise self._tables.damaged("a row of keys is cut short")
            first, ticks, segment, crc, count = KEYS_ENTRY.unpack_from(data, at)
            at += KEYS_ENTRY.size
            if at + 4 * count > len(data) or not 0 < ticks <= MOST_TICKS or not 0 < segment <= first:
                raise self._tables.damaged("a row of keys makes no sense")
            yield BlockEntry(first, first + ticks - 1, segment, crc, _numbers(data[at : at + 4 * count]))
            at += 4 * count

    def _check_order(self) -> None:
        last, segment = 0, 0
        if len(self.entries) != len(self._places):
            raise UnusableIndex(self.path, "it is damaged")
        for entry in self.entries:
            if entry.first <= last or entry.segment < segment:
                raise UnusableIndex(self.path, "it is damaged")
            last, segment = entry.last, entry.segment


def _numbers(data: memoryview) -> memoryview:
    if sys.byteorder == "little":
        return data.cast("I")
    swapped = array.array("I", data)
    swapped.byteswap()
    return memoryview(swapped)


def index_facts(path: str, pages: PageFile) -> dict[int, dict[str, object]]:
    """What the builder left about the index of each process that has one; UnusableIndex when that is damaged."""
    found = {}
    tables = Tables(pages)
    try:
        check_commits(tables)
        for key, body in tables.rows(INDEX_META):
            if len(key) != PROCESS_KEY.size:
                raise tables.damaged("a key has the wrong size")
            found[PROCESS_KEY.unpack(key)[0]] = tables.facts(body)
    except DamagedTrace as error:
        raise UnusableIndex(path, "it is damaged") from error
    return found


def open_index(path: str, process: int) -> IndexReader | None:
    """The index of a process in the trace at `path`, None when there is none; UnusableIndex when it cannot be read.

    Everything is read or kept open now: the file may change afterwards.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        pages = PageFile(descriptor, path)
        facts = index_facts(path, pages).get(process)
        if facts is not None and facts.get("version") != INDEX_VERSION:
            raise UnusableIndex(path, f"its version is {facts.get('version')}, this Retroscope has {INDEX_VERSION}")
        if facts is None and _has_blocks(path, pages, process):
            raise UnusableIndex(path, "it is damaged")
        found = None if facts is None else IndexReader(path, pages, process, facts)
    except BaseException:
        os.close(descriptor)
        raise
    if found is None:
        os.close(descriptor)
    return found


def _has_blocks(path: str, pages: PageFile, process: int) -> bool:
    try:
        return any(key.startswith(PROCESS_KEY.pack(process)) for key in pages.places(INDEX_BLOCKS))
    except DamagedTrace as error:
        raise UnusableIndex(path, "it is damaged") from error


@dataclass(frozen=True, slots=True)
class IndexSummary:
    """What is said of an index without reading it: `bytes` are those of its blocks and keys in the file."""

    ticks: int
    complete: bool
    all_code: bool
    bytes: int


def index_summaries(path: str) -> dict[int, IndexSummary]:
    """By process, of those that have an index; UnusableIndex when that cannot be said."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        pages = PageFile(descriptor, path)
        found = index_facts(path, pages)
        sizes = dict.fromkeys(found, 0)
        for table in (INDEX_BLOCKS, INDEX_KEYS) if found else ():
            for key, place in pages.places(table).items():
                process = int.from_bytes(key[: PROCESS_KEY.size], "big")
                sizes[process] = sizes.get(process, 0) + (place.size if isinstance(place, Place) else len(place))
    except DamagedTrace as error:
        raise UnusableIndex(path, "it is damaged") from error
    finally:
        os.close(descriptor)
    for process, facts in found.items():
        if facts.get("version") != INDEX_VERSION:
            raise UnusableIndex(path, f"process {process}: its version is {facts.get('version')}, not {INDEX_VERSION}")
    return {process: _summary(facts, sizes[process]) for process, facts in found.items()}


def _summary(facts: dict[str, object], size: int) -> IndexSummary:
    ticks = facts.get("ticks")
    complete = facts.get("complete") is True
    return IndexSummary(ticks if isinstance(ticks, int) else 0, complete, facts.get("what") == "all", size)
