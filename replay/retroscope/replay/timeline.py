"""The timeline of one recorded process: the only object front ends use.

In: a trace file. Out: moments, frames, values. It never shows a value that it did not compute at exactly
the moment it names; what it cannot know it says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import NewType, Protocol, Self

Tick = NewType("Tick", int)
"""Line events executed so far by the whole process; 0 is before the first line."""
InputId = NewType("InputId", int)
"""Number of a record in the process's input stream, from 0."""
ThreadId = NewType("ThreadId", int)
"""Recorded threads by order of start; the main thread is 1."""
FrameId = NewType("FrameId", int)
"""A frame of the current moment, 0 innermost; void after any motion."""
Reference = NewType("Reference", int)
"""Something expandable of the current moment; void after any motion. 0: nothing to expand."""


class StopReason(Enum):
    ENTRY = "entry"
    STEP = "step"
    BREAKPOINT = "breakpoint"
    EXCEPTION = "exception"
    GOTO = "goto"
    BEGINNING = "beginning"  # a reverse motion found nothing before
    END = "end"  # the program is over (or the record ends here)
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Moment:
    """Where the timeline stands. `text` says in a sentence what happened, when there is something to say."""

    tick: Tick
    input: InputId
    thread: ThreadId
    reason: StopReason
    text: str = ""
    breakpoints: tuple[int, ...] = ()
    exception: str | None = None


@dataclass(frozen=True)
class Breakpoint:
    """Either `path` and `line`, or `function`. `condition` is a Python expression in the frame's scope."""

    id: int
    path: str | None = None
    line: int | None = None
    function: str | None = None
    condition: str | None = None


@dataclass(frozen=True)
class BreakpointStatus:
    id: int
    verified: bool
    message: str = ""
    line: int | None = None


@dataclass(frozen=True)
class Frame:
    id: FrameId
    function: str
    path: str
    line: int
    visible: bool  # False: standard library, site-packages, frozen


@dataclass(frozen=True)
class Value:
    """`text` is a bounded rendering; `kind` the type's name; `reference` expands it; sizes as in DAP."""

    name: str
    text: str
    kind: str
    reference: Reference = Reference(0)
    named: int = 0
    indexed: int = 0
    expression: str | None = None
    failed: bool = False  # text is an error, not a value


@dataclass(frozen=True)
class Scope:
    name: str  # "Locals", "Globals"
    reference: Reference


@dataclass(frozen=True)
class OutputChunk:
    stream: str  # "stdout" or "stderr"
    data: bytes
    input: InputId


@dataclass(frozen=True)
class ThreadInfo:
    id: ThreadId
    name: str


class ReplayError(Exception):
    """Replay cannot go on; the message is one sentence for the user."""


class Diverged(ReplayError):
    """The replay did not do what the recording did."""


class TimelineApi(Protocol):
    """What `Timeline` offers; front ends are typed against this."""

    now: Moment
    program: Sequence[str]
    cwd: str
    last_tick: Tick | None
    """The last tick of the recording once it is known, else None."""
    visible_only: bool
    """Whether step, next and finish (and their reverses) stop only in the user's own code. Default True."""
    break_on_raised: bool
    break_on_uncaught: bool

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None: ...
    def close(self) -> None: ...

    def goto(self, tick: Tick) -> Moment: ...
    def goto_input(self, input: InputId) -> Moment: ...
    def goto_end(self) -> Moment: ...
    def goto_failure(
        self,
    ) -> Moment: ...  # where the uncaught exception was raised; raises ReplayError if there was none
    def step(self) -> Moment: ...
    def next(self) -> Moment: ...
    def finish(self) -> Moment: ...
    def run(self) -> Moment: ...
    def reverse_step(self) -> Moment: ...
    def reverse_next(self) -> Moment: ...
    def reverse_finish(self) -> Moment: ...
    def reverse_run(self) -> Moment: ...
    def interrupt(self) -> None: ...  # from another thread: the motion under way ends with INTERRUPTED

    def set_breakpoints(self, breakpoints: Sequence[Breakpoint]) -> list[BreakpointStatus]: ...
    def threads(self) -> list[ThreadInfo]: ...
    def stack(self, thread: ThreadId | None = None) -> list[Frame]: ...
    def scopes(self, frame: FrameId) -> list[Scope]: ...
    def expand(self, reference: Reference, start: int = 0, count: int | None = None) -> list[Value]: ...
    def evaluate(self, expression: str, frame: FrameId | None = None) -> Value: ...
    def source(self, path: str) -> str | None: ...  # as recorded; None: not recorded
    def source_paths(self) -> list[str]: ...
    def output(self, upto: InputId | None = None) -> list[OutputChunk]: ...  # default: up to now
    def last_line_of(self, path: str) -> int | None: ...


ProgressCallback = Callable[[Tick, InputId, InputId], None]
"""Called now and then during long motion: ticks done, inputs done, inputs in all."""

TracePath = str | Path
