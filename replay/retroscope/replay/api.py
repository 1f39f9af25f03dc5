"""What front ends may ask of a timeline. They are typed against this and hold no replay logic themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from retroscope.replay.moments import (
    Breakpoint,
    BreakpointStatus,
    Frame,
    FrameId,
    InputId,
    Moment,
    OutputChunk,
    Reference,
    Scope,
    TaskInfo,
    ThreadId,
    ThreadInfo,
    Tick,
    Value,
    WhatIf,
)


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
    ) -> Moment: ...  # ReplayError if there was none
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
    def tasks(self) -> list[TaskInfo]: ...
    def stack(self, thread: ThreadId | None = None) -> list[Frame]: ...
    def scopes(self, frame: FrameId) -> list[Scope]: ...
    def expand(self, reference: Reference, start: int = 0, count: int | None = None) -> list[Value]: ...
    def evaluate(self, expression: str, frame: FrameId | None = None) -> Value: ...
    def what_if(self, statement: str, frame: FrameId | None = None) -> WhatIf: ...
    def source(self, path: str) -> str | None: ...  # as recorded; None: not recorded
    def source_paths(self) -> list[str]: ...
    def output(self, upto: InputId | None = None) -> list[OutputChunk]: ...  # default: up to now
    def last_line_of(self, path: str) -> int | None: ...


ProgressCallback = Callable[[Tick, InputId, InputId], None]
"""Called now and then during long motion: ticks done, inputs done, inputs in all."""

TracePath = str | Path
