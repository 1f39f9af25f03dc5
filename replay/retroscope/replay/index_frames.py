"""Frames out of the index: which there are at a tick, with their variables, who called whom, and how calls ended.

A frame is named by the tick of its first line. Where it began before the observer of a segment did, that segment knows
only its address: the frame of that address at the end of the segment before is the same one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from retroscope.recorder import _core
from retroscope.replay.index import Index, NotIndexed
from retroscope.replay.index_facts import Kind, Rendered

_HOW = ("returned", "yielded", "unwound")
_VISIBLE, _GENERATOR, _NAMES_IN_A_DICT = 1, 2, 8


@dataclass(frozen=True)
class FrameState:
    """A frame at a moment. `id`: tick of its first line. `line_tick`: of its last line, at which `line` began to run.

    `variables`: those that are bound; None where they were not noted, as in library code, modules and the bodies of
    classes. In frames that wait for others, what they share with inner functions is what it was at their last line.
    """

    id: int
    function: str
    path: str
    line: int
    line_tick: int
    visible: bool
    generator: bool
    variables: dict[str, Rendered] | None


@dataclass(frozen=True)
class Call:
    """A frame from its first line to its end. `left`: tick of the end, None while it runs or if it is not seen.

    `caller`: the frame that called it, 0: none. `how`: returned, unwound (by an exception), or "" without an end.
    """

    frame: int
    function: str
    path: str
    line: int
    thread: int
    caller: int
    left: int | None
    how: str
    value: Rendered | None


def stack(index: Index, tick: int, thread: int | None = None) -> list[FrameState]:
    """The frames of the running thread, or of another, innermost first; empty when it has none."""
    threads = _core.block_state(index.block(index.number_at(tick)), tick)
    for number, frames in threads:
        if thread is None or number == thread:
            return [_frame_state(index, tick, row) for row in frames]
    return []


def threads(index: Index, tick: int) -> list[int]:
    """The threads that have frames, the running one first."""
    return [number for number, _ in _core.block_state(index.block(index.number_at(tick)), tick)]


_Variables = dict[int, tuple[str, int, str, int] | None]
_Row = tuple[int, int, int, int, int, _Variables | None]


def _frame_state(index: Index, tick: int, row: _Row) -> FrameState:
    number = index.number_at(tick)
    named, address, code, line, last, variables = row
    path, function, _, names, flags = _core.block_codes(index.block(number))[code]
    identity = index.frame_id(number, named or -address)
    if not last:
        last = _last_before(index, number, address)
    if (not line or variables is None) and 0 < last < index.entries[number].first:
        line, held, known_names = _elsewhere(index, last, identity, bool(flags & _GENERATOR), number)
        if variables is None:
            variables, names = held, known_names
    named_values = None
    if variables is not None and not flags & _NAMES_IN_A_DICT:
        named_values = {names[slot]: Rendered.of(value) for slot, value in variables.items() if value is not None}
    visible, generator = bool(flags & _VISIBLE), bool(flags & _GENERATOR)
    return FrameState(identity, function, path, line, last, visible, generator, named_values)


def _last_before(index: Index, number: int, address: int) -> int:
    """The last line of a frame that has had none since the observer of this block began."""
    while (first := index.entries[number].segment) > 1:
        number = index.number_at(first - 1)
        if last := index.at_end(number).get(address, (0, 0))[1]:
            return last
    return 0


def _elsewhere(
    index: Index, last: int, identity: int, generator: bool, before: int
) -> tuple[int, _Variables | None, tuple[str, ...]]:
    """Line and variables of a frame whose last line is in an older block: nothing but itself changes them since.

    A generator or coroutine may not have been on the stack when that block ended, but was since, before block `before`.
    """
    number = index.number_at(last)
    line = next((frame[3] for at, frame in _frames_at(index, number, last) if at == identity), 0)
    for each in range(before - 1, number - 1, -1) if generator else (number,):
        for at, frame in _frames_at(index, each, index.entries[each].last):
            if at == identity and frame[5] is not None:
                return line, dict(frame[5]), _core.block_codes(index.block(each))[frame[2]][3]
    return line, None, ()


def _frames_at(index: Index, number: int, tick: int) -> Iterator[tuple[int, _Row]]:
    """The frames of all threads at a tick of a block, with their ids."""
    for _, frames in _core.block_state(index.block(number), tick):
        for row in frames:
            yield index.frame_id(number, row[0] or -row[1]), row


def last_line(index: Index, frame: int, tick: int) -> int:
    """The tick of the last line of a frame at or before `tick`; NotIndexed."""
    number = index.number_at(tick)
    entry = index.entries[number]
    while True:
        rows = _core.block_events(index.block(number), entry.first, min(tick, entry.last), Kind.LINE)
        for row in reversed(rows):
            if index.frame_id(number, row[2]) == frame:
                return int(row[1])
        if entry.first <= frame:
            raise NotIndexed(f"the lines of frame {frame} are not known")
        number = index.number_at(entry.first - 1)
        entry = index.entries[number]


def calls(index: Index, first: int, last: int) -> Iterator[Call]:
    """The calls that begin at ticks `first` to `last`, in order. NotIndexed where nobody looked."""
    tick = first
    while tick <= last:
        number = index.number_at(tick)
        entry = index.entries[number]
        block = index.block(number)
        codes = _core.block_codes(block)
        rows = _core.block_events(block, tick, min(entry.last, last), Kind.ENTER)
        for _, at, frame, code, caller, thread in rows:
            if frame == 0:
                continue  # it had no line
            path, function, line, _, _ = codes[code]
            left, how, value = end_of(index, frame, at)
            known = index.frame_id(number, caller) if caller else 0
            yield Call(frame, function, path, line, thread, known, left, how, value)
        tick = entry.last + 1


def end_of(index: Index, frame: int, since: int) -> tuple[int | None, str, Rendered | None]:
    """(tick, how, value) of the end of a frame; (None, "", None) if it does not end in what is indexed."""
    tick = since
    while True:
        try:
            number = index.number_at(tick)
        except NotIndexed:
            return None, "", None
        entry = index.entries[number]
        for _, at, named, how, value, _ in _core.block_events(index.block(number), tick, entry.last, Kind.LEAVE):
            if how != 1 and index.frame_id(number, named) == frame:
                return at, _HOW[how], None if value is None else Rendered.of(value)
        tick = entry.last + 1
