"""The words in which the timeline answers: moments, frames, values, and what can go wrong."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NewType

from retroscope.trace.errors import RetroscopeError

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
    """Either `path` and `line`, or `function`. `condition` is a Python expression in the frame's scope; `hits` says
    which hits count: ">= 3", "% 2 == 0". A `message` is said at each hit, without a stop."""

    id: int
    path: str | None = None
    line: int | None = None
    function: str | None = None
    condition: str | None = None
    hits: str | None = None
    message: str | None = None


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
    """A thread of one moment. `state`: running, waiting, ready (it was preempted), starting or finished."""

    id: ThreadId
    name: str
    state: str = "running"
    waits: str = ""
    """What a waiting one waits for, in a few words: "in queue.Queue.get"."""


@dataclass(frozen=True)
class TaskInfo:
    """An asyncio task that is not over. `state`: running, waiting or ready (its next step is due)."""

    name: str
    state: str
    waits: str
    frames: tuple[Frame, ...]
    """Its coroutine and what that awaits, innermost first."""


@dataclass(frozen=True)
class WhatIf:
    """What became of the program after a change, beside what the recording does from the same moment on.

    The rows of `output` and `exceptions`: "- " only in the recording, "+ " only after the change, "  … N lines alike";
    none when there is no difference.
    """

    ended: str
    """Where the changed program stopped, and why: "it runs to the end of the program"."""
    tick: Tick
    recorded: str
    """How the recorded program ends, if the changed one came to its end."""
    output: tuple[str, ...]
    exceptions: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """All of it, for a person."""
        rows = [self.ended]
        if self.recorded and not self.ended.endswith(self.recorded):
            rows.append(f"as recorded, it runs to {self.recorded}")
        for title, difference in (("output", self.output), ("exceptions", self.exceptions)):
            rows.append(f"{title}:" if difference else f"{title}: no difference")
            rows += [f"  {row}" for row in difference]
        return "\n".join([*rows, *(f"note: {note}" for note in self.notes)])


class ReplayError(RetroscopeError):
    """Replay cannot go on; the message is one sentence for the user."""


class Diverged(ReplayError):
    """The replay did not do what the recording did, in `process`."""

    status = 3

    def __init__(self, text: str, process: int | None = None) -> None:
        super().__init__(text)
        self.process = process
