"""The index of one recorded process: answers about its whole past, without running anything.

What comes from here was seen by an observer in a replay. Each question goes over the keys of the blocks first and
unpacks only those that can hold the answer. A question whose answer may lie where nothing is indexed raises NotIndexed:
it is never taken for "there is none".
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from retroscope.recorder import _core
from retroscope.replay.index_building import core_fingerprint
from retroscope.replay.index_facts import Key, Kind, Place, file_stem
from retroscope.replay.moments import ReplayError
from retroscope.replay.recording import Recording
from retroscope.trace.index_reader import BlockEntry, IndexReader, UnusableIndex, open_index

_MOST_BLOCKS = 24
"""Unpacked blocks that are kept."""
_MOST_TICKS = 1 << 12
"""Ticks of which it is kept whose files' lines are there."""
_MOST_HITS = 1 << 20
"""Hits in blocks that are kept: with many breakpoints each stop asks for the same ones again."""
_MOST_FRAMES = 1 << 18
"""Frames at the ends of blocks that are kept."""

__all__ = ["Index", "NotIndexed", "UnusableIndex", "fitting_index", "open_index_of"]


class NotIndexed(ReplayError):
    """The answer may lie at ticks that are not in the index."""


@dataclass(frozen=True)
class Hit:
    """A tick at which something occurs, and the block that has it."""

    tick: int
    block: int


class Index:
    """Takes `reader` over. `end` is the last tick, None while that is not known."""

    def __init__(self, reader: IndexReader) -> None:
        self._reader = reader
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._lists: OrderedDict[tuple[int, Kind, Key, Key], list[int]] = OrderedDict()
        self._kept = 0
        self._codes: tuple[int, list[Any]] = (-1, [])
        """Of the block that was asked for last."""
        self._files: dict[int, set[str]] = {}
        """The stems of the files whose lines are at a tick."""
        self._ends: dict[int, dict[int, tuple[int, int]]] = {}
        self._frames: dict[tuple[int, int], int] = {}
        self._kept_frames = 0
        """In `_ends` and `_frames`."""
        end = reader.facts.get("end")
        self.end = end if isinstance(end, int) else None
        self.complete = reader.complete
        self.all_code = reader.facts.get("what") == "all"

    def close(self) -> None:
        self._reader.close()

    @property
    def entries(self) -> Sequence[BlockEntry]:
        return self._reader.entries

    @property
    def ticks(self) -> int:
        """How many ticks are indexed."""
        return self._reader.ticks

    @property
    def size(self) -> int:
        """Bytes in the trace."""
        return self._reader.size

    def made_by_this_core(self) -> bool:
        """Whether the code that replays now made it: another one may count or place objects in another way."""
        return self._reader.facts.get("core") == core_fingerprint()

    # --- blocks

    def number_at(self, tick: int) -> int:
        """The number of the block of a tick; NotIndexed."""
        number = self._reader.at(tick)
        if number is None:
            raise NotIndexed(f"tick {tick} is not in the index")
        return number

    def block(self, number: int) -> bytes:
        """The observations of a block, for the functions of the core."""
        found = self._blocks.get(number)
        if found is None:
            found = self._blocks[number] = self._reader.block(number)
            if len(self._blocks) > _MOST_BLOCKS:
                self._blocks.popitem(last=False)
        else:
            self._blocks.move_to_end(number)
        return found

    def at_end(self, number: int) -> dict[int, tuple[int, int]]:
        """The frames that are alive where the segment of this block ends, by address: id and tick of the last line.

        Either is 0 where the observer of the segment does not know it.
        """
        found = self._ends.get(number)
        if found is None:
            rows = _core.block_end(self.block(number))
            found = {address: (frame, last) for frame, address, last in rows}
            self._make_room(len(found))
            self._ends[number] = found
        return found

    def frame_id(self, number: int, named: int) -> int:
        """The id of a frame that a block names by id, or by its address, which is negative then; NotIndexed.

        The observer of a segment in which a generator never ran does not know of it: it is that of an older one.
        """
        names = []
        while named < 0:
            known = self._frames.get((number, named))
            if known is not None:
                named = known
                break
            names.append((number, named))
            first = self.entries[number].segment
            if first <= 1:
                raise NotIndexed(f"which frame began before tick {first} is not known")
            number = self.number_at(first - 1)
            named = self.at_end(number).get(-named, (0, 0))[0] or named
        self._make_room(len(names))
        self._frames.update(dict.fromkeys(names, named))
        return named

    def _make_room(self, more: int) -> None:
        """For more frames than those that are kept; beyond a limit these are forgotten."""
        self._kept_frames += more
        if self._kept_frames > _MOST_FRAMES:
            self._ends.clear()
            self._frames.clear()
            self._kept_frames = more

    def _backwards(self, before: int) -> Iterator[int]:
        """Blocks with ticks below `before`, the last one first; NotIndexed at a gap, before it."""
        tick = before - 1
        while tick >= 1:
            number = self.number_at(tick)
            yield number
            tick = self._reader.entries[number].first - 1

    def _forwards(self, after: int) -> Iterator[int]:
        """Blocks with ticks above `after`; NotIndexed at a gap, and where the end is not known."""
        tick = after + 1
        while self.end is None or tick <= self.end:
            number = self.number_at(tick)
            yield number
            tick = self._reader.entries[number].last + 1

    # --- hits of anything that has a key

    def last_of(self, kind: Kind, first: Key, second: Key, before: int, since: int = 1) -> Hit | None:
        """The last fact of this kind and key at a tick from `since` to below `before`."""
        key = _core.block_key(kind, first, second)
        for number in self._backwards(before):
            entry = self._reader.entries[number]
            if entry.last < since:
                return None
            if entry.may_hold(key):
                low, high = max(entry.first, since), min(entry.last, before - 1)
                found = self._hits_in(number, low, high, (kind, first, second))
                if found:
                    return Hit(found[-1], number)
        return None

    def all_of(self, kind: Kind, first: Key, second: Key, after: int = 0) -> Iterator[Hit]:
        """Every fact of this kind and key at a tick above `after`, in order."""
        key = _core.block_key(kind, first, second)
        for number in self._forwards(after):
            entry = self._reader.entries[number]
            if entry.may_hold(key):
                low = max(entry.first, after + 1)
                for tick in self._hits_in(number, low, entry.last, (kind, first, second)):
                    yield Hit(tick, number)

    def _hits_in(self, number: int, low: int, high: int, what: tuple[Kind, Key, Key]) -> list[int]:
        """The ticks from `low` to `high` of a block at which this occurs."""
        found = self._lists.get((number, *what))
        if found is None:
            entry = self._reader.entries[number]
            found = _core.block_hits(self.block(number), entry.first, entry.last, *what)
            self._lists[number, *what] = found
            self._kept += len(found) + 1
            while self._kept > _MOST_HITS:
                self._kept -= len(self._lists.popitem(last=False)[1]) + 1
        else:
            self._lists.move_to_end((number, *what))
        return found[bisect_left(found, low) : bisect_right(found, high)]

    # --- lines and functions

    def previous_hit(self, place: Place, before: int, since: int = 1) -> int | None:
        """The last tick below `before` at which a breakpoint at `place` stops."""
        while True:
            hit = self.last_of(place.kind, place.first, place.second, before, since)
            if hit is None or self._is_at(place, hit):
                return None if hit is None else hit.tick
            before = hit.tick

    def hits(self, place: Place, after: int = 0) -> Iterator[int]:
        """Every tick above `after` at which a breakpoint at `place` stops, in order."""
        for hit in self.all_of(place.kind, place.first, place.second, after):
            if self._is_at(place, hit):
                yield hit.tick

    def next_hit(self, place: Place, after: int) -> int | None:
        return next(self.hits(place, after), None)

    def count(self, place: Place) -> int:
        """How often it is hit in the whole recording."""
        return sum(1 for _ in self.hits(place))

    def nth_hit(self, place: Place, number: int) -> int | None:
        """The tick of the `number`-th hit, counted from 1."""
        for count, tick in enumerate(self.hits(place), 1):
            if count == number:
                return tick
        return None

    def _is_at(self, place: Place, hit: Hit) -> bool:
        """Of functions, the key does not hold the file."""
        if not place.stem:
            return True
        if hit.tick not in self._files:
            block = self.block(hit.block)
            if self._codes[0] != hit.block:
                self._codes = hit.block, _core.block_codes(block)
            if len(self._files) > _MOST_TICKS:
                self._files.clear()
            rows = _core.block_events(block, hit.tick, hit.tick, Kind.LINE)
            self._files[hit.tick] = {file_stem(self._codes[1][row[3]][0]) for row in rows}
        return place.stem in self._files[hit.tick]


def open_index_of(recording: Recording) -> Index | None:
    """The index of a recording, None when there is none; UnusableIndex says why one that is there cannot be used."""
    reader = open_index(recording.path, recording.process.id)
    if reader is None:
        return None
    if reader.facts.get("stream") != recording.process.length:
        reader.close()
        raise UnusableIndex(recording.path, "it was made of another state of the recording")
    return Index(reader)


def fitting_index(recording: Recording) -> tuple[Index | None, str]:
    """The index of a recording if it can be relied on here; else None, and why one that is there is not used."""
    try:
        index = open_index_of(recording)
    except UnusableIndex as error:
        return None, error.sentence
    if index is None or index.made_by_this_core():
        return index, ""
    index.close()
    return None, f"the index is not used, for another build made it; `scope index {recording.path}` makes a new one"
