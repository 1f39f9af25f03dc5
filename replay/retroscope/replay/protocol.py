"""The bytes between the controller and a replay process: Seam 4 of docs/architecture.md, packed and unpacked.

Nothing here does input or output; `process.py` does. Sizes and counts in answers are checked, because a replay process
runs a stranger's program and may have been harmed by it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum, IntFlag

TO_THE_END = 0xFFFF_FFFF_FFFF_FFFF
ANY_DEPTH = 0xFFFF_FFFF
ANY_THREAD = 0
MOST_WATCHED = 64
MOST_WATCHED_BYTES = 1 << 16
MOST_REPORTED = 64
"""So many of the last matches of a segment a COLLECT reports; the count covers all."""

_HEAD = struct.Struct("<II")
_RUN = struct.Struct("<IIQIIII")
_HELLO = struct.Struct("<IIIQ")
_STOPPED = struct.Struct("<IIIIQQIIQII")
_MATCH = struct.Struct("<QIIII")
_MARK = struct.Struct("<QIII")
_BREAKPOINT = struct.Struct("<IIII")


class Op(IntEnum):
    RUN = 1
    FORK = 2
    LOOK = 3
    BREAKPOINTS = 4
    QUIT = 5
    WATCH = 6
    CONDITIONS = 7
    STREAM = 8
    STACK = 9
    MARK = 10
    BRANCH = 11
    CHANGE = 12
    OBSERVE = 13
    HELLO = 100
    STOPPED = 101
    FRAMES = 102


class Want(IntFlag):
    """What a RUN looks for."""

    NOTHING = 0
    BREAKPOINT = 1
    SHALLOW = 2  # a line with depth <= max_depth
    LINE = 4
    RAISE = 8
    WATCH = 16  # watched memory changed since the line event before
    MARKED = 32  # a line of the marked frames
    VISIBLE = 0x100  # of lines and raises, only those of the user's own code; breakpoints count everywhere
    FORKS = 0x400  # where the program forks
    TOTALS = 0x1000  # nothing on the way, ever: lines may be counted without being seen, and raises are not noted
    FIRST = 0x800  # of SHALLOW only the first lines of frames, and only those of max_depth
    RAISE_HERE = 0x200  # also what the line raises at which the run begins


class Action(IntEnum):
    STOP = 0
    COLLECT = 1


class Reason(IntEnum):
    READY = 0
    LIMIT = 1
    MATCH = 2
    END = 3
    DIVERGED = 4
    SEALED = 5
    FORK = 6


class BadAnswer(Exception):
    """The process sent bytes that are no answer of Seam 4."""


@dataclass(frozen=True)
class Match:
    """One place that a RUN found; `kind` is the one bit of `Want` that matched.

    `detail`: the row of a BREAKPOINT; whether a SHALLOW line is the first of its frame; of a WATCH the `writer` and
    what was reborn; the index of a MARKED frame.
    The last match of a COLLECT for MARKED says what became of them: see `Marks.further`.
    """

    tick: int
    kind: int
    detail: int
    depth: int
    thread: int

    @property
    def writer(self) -> int:
        """The thread that wrote what a WATCH found, 0 for several."""
        return self.detail >> 2

    @property
    def value_is_reborn(self) -> bool:
        """Whether a watched place holds another object than before at the same address."""
        return bool(self.detail & 1)

    @property
    def owner_is_reborn(self) -> bool:
        """Whether the object that a watched place belongs to is another one than before at the same address."""
        return bool(self.detail & 2)


@dataclass(frozen=True)
class Watched:
    """What `Want.WATCH` looks at: (address, size) of the memory it compares; (address, whether the object lies there
    itself) of the places where an object may die and leave its address to another."""

    ranges: tuple[tuple[int, int], ...]
    places: tuple[tuple[int, bool], ...]

    def with_those_of(self, other: Watched) -> Watched:
        return Watched(self.ranges + other.ranges, self.places + other.places)

    def is_too_much(self) -> bool:
        most = len(self.ranges) > MOST_WATCHED or len(self.places) > MOST_WATCHED
        return most or sum(size for _, size in self.ranges) > MOST_WATCHED_BYTES


@dataclass(frozen=True)
class Frames:
    """Words that stand for the frames of a stack, innermost first: addresses with two bits of `Marks`."""

    words: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Marks:
    """The frames that a motion stays in, as `Frames` gave them.

    `first`: index of the innermost one whose lines count. Backwards: the last line of that frame, or where it was
    called if it began later; with `beginning` always that. Line events from tick `before` on do not count.
    """

    GENERATOR = 1
    VISIBLE = 2

    words: tuple[int, ...]
    first: int = 0
    beginning: bool = False
    before: int = TO_THE_END

    def showing_all(self) -> Marks:
        """Lines of library code count as well."""
        return replace(self, words=tuple(word | self.VISIBLE for word in self.words))

    @property
    def has_generators(self) -> bool:
        return any(word & self.GENERATOR for word in self.words)

    def index_of(self, word: int) -> int:
        """Of the frame of this word, whatever it says of it."""
        frames = [each & ~(self.GENERATOR | self.VISIBLE) for each in self.words]
        return frames.index(word & ~(self.GENERATOR | self.VISIBLE))

    def without_generators(self, some: Sequence[int] | None = None) -> Marks:
        """A generator that is suspended, or `some` of them, by their words, then count as over."""
        kept = [word for word in self.words if some is not None and word not in some]
        return replace(self, words=tuple(word if word in kept else word & ~self.GENERATOR for word in self.words))

    def further(self, summary: Match) -> Marks:
        """What to look for in an earlier run, after one that found nothing."""
        return replace(self, first=summary.detail >> 1, beginning=bool(summary.detail & 1))


@dataclass(frozen=True)
class Hello:
    pid: int
    tick: int


@dataclass(frozen=True)
class Stopped:
    """Where a process stands. `matches` holds the last ones in order of tick, `found` is the count of all."""

    reason: Reason
    pid: int
    tick: int
    input: int
    depth: int
    thread: int
    found: int
    matches: tuple[Match, ...]
    text: str


@dataclass(frozen=True)
class TableEntry:
    """A row of the breakpoint table. `name` is the file of `line`, or with `line` 0 the name of a function, or with
    `raises` that of a type: raises of others do not count then."""

    id: int
    line: int
    name: str
    raises: bool = False


def pack_run(until: int, want: int, max_depth: int, action: Action, thread: int) -> bytes:
    return _RUN.pack(Op.RUN, 0, until, want, max_depth, action, thread)


def pack_bare(op: Op) -> bytes:
    """FORK, LOOK and STREAM (their descriptor travels beside the bytes) and QUIT."""
    return _HEAD.pack(op, 0)


def pack_observe(all_code: bool) -> bytes:
    """Its descriptor travels beside the bytes."""
    return _HEAD.pack(Op.OBSERVE, all_code)


def pack_breakpoints(table: Sequence[TableEntry]) -> bytes:
    parts = [_HEAD.pack(Op.BREAKPOINTS, 0), struct.pack("<I", len(table))]
    for entry in table:
        name = entry.name.encode("utf-8", "surrogateescape")
        parts.append(_BREAKPOINT.pack(entry.id, _kind(entry), entry.line, len(name)) + name)
    return b"".join(parts)


def _kind(entry: TableEntry) -> int:
    if entry.raises:
        return 2
    return 0 if entry.line else 1


def pack_watch(watched: Watched) -> bytes:
    head = _HEAD.pack(Op.WATCH, 0) + struct.pack("<II", len(watched.ranges), len(watched.places))
    return head + b"".join(struct.pack("<QQ", *each) for each in (*watched.ranges, *watched.places))


def pack_conditions(conditions: Sequence[tuple[int, str]]) -> bytes:
    """(row of the breakpoint table, expression) pairs."""
    parts = [_HEAD.pack(Op.CONDITIONS, 0), struct.pack("<I", len(conditions))]
    for row, text in conditions:
        expression = text.encode("utf-8", "surrogatepass")
        parts.append(struct.pack("<II", row, len(expression)) + expression)
    return b"".join(parts)


def pack_stack(left: bool) -> bytes:
    return _HEAD.pack(Op.STACK, left)


def pack_marks(marks: Marks) -> bytes:
    head = _HEAD.pack(Op.MARK, 0) + _MARK.pack(marks.before, marks.first, marks.beginning, len(marks.words))
    return head + struct.pack(f"<{len(marks.words)}Q", *marks.words)


def unpack_answer(data: bytes) -> Hello | Stopped | Frames:
    try:
        op, _ = _HEAD.unpack_from(data)
        if op == Op.HELLO:
            _, _, pid, tick = _HELLO.unpack(data)
            return Hello(pid, tick)
        if op == Op.STOPPED:
            return _unpack_stopped(data)
        if op == Op.FRAMES:
            return Frames(struct.unpack_from(f"<{(len(data) - _HEAD.size) // 8}Q", data, _HEAD.size))
    except (struct.error, ValueError) as error:
        raise BadAnswer(f"{len(data)} bytes are no answer: {error}") from error
    raise BadAnswer(f"unknown answer {op}")


def _unpack_stopped(data: bytes) -> Stopped:
    _, _, reason, pid, tick, input_, depth, thread, found, count, text_len = _STOPPED.unpack_from(data)
    rest = len(data) - _STOPPED.size
    if count > MOST_REPORTED + 1 or rest != count * _MATCH.size + text_len:
        raise BadAnswer(f"STOPPED announces {count} matches and {text_len} bytes of text in {rest} bytes")
    matches = tuple(Match(*_MATCH.unpack_from(data, _STOPPED.size + i * _MATCH.size)) for i in range(count))
    text = data[len(data) - text_len :].decode("utf-8", "replace") if text_len else ""
    return Stopped(Reason(reason), pid, tick, input_, depth, thread, found, matches, text)


def pack_stopped(stopped: Stopped) -> bytes:
    """The other direction, for test doubles of a replay process."""
    text = stopped.text.encode("utf-8", "replace")
    head = _STOPPED.pack(
        Op.STOPPED, 0, stopped.reason, stopped.pid, stopped.tick, stopped.input, stopped.depth, stopped.thread,
        stopped.found, len(stopped.matches), len(text),
    )  # fmt: skip
    rows = (_MATCH.pack(m.tick, m.kind, m.detail, m.depth, m.thread) for m in stopped.matches)
    return head + b"".join(rows) + text


def pack_hello(pid: int, tick: int) -> bytes:
    return _HELLO.pack(Op.HELLO, 0, pid, tick)


def unpack_run(data: bytes) -> tuple[int, int, int, int, int]:
    """until, want, max_depth, action, thread; for test doubles."""
    _, _, until, want, max_depth, action, thread = _RUN.unpack(data)
    return until, want, max_depth, action, thread


def unpack_breakpoints(data: bytes) -> list[TableEntry]:
    """For test doubles."""
    (count,) = struct.unpack_from("<I", data, _HEAD.size)
    at = _HEAD.size + 4
    table = []
    for _ in range(count):
        id_, kind, line, size = _BREAKPOINT.unpack_from(data, at)
        at += _BREAKPOINT.size
        table.append(TableEntry(id_, line, data[at : at + size].decode("utf-8", "surrogateescape"), kind == 2))
        at += size
    return table


def unpack_marks(data: bytes) -> Marks:
    """For test doubles."""
    before, first, beginning, count = _MARK.unpack_from(data, _HEAD.size)
    return Marks(struct.unpack_from(f"<{count}Q", data, _HEAD.size + _MARK.size), first, bool(beginning), before)


def pack_frames(words: Sequence[int]) -> bytes:
    """For test doubles."""
    return _HEAD.pack(Op.FRAMES, 0) + struct.pack(f"<{len(words)}Q", *words)


def op_of(data: bytes) -> int:
    (op, _) = _HEAD.unpack_from(data)
    return int(op)
