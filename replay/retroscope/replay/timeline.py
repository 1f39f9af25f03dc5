"""The timeline of one recorded process: the only object front ends use.

In: a trace file. Out: moments, frames, values. It never shows a value that it did not compute at exactly
the moment it names; what it cannot know it says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from types import TracebackType
from typing import Self

from retroscope.replay.api import ProgressCallback, TimelineApi, TracePath
from retroscope.replay.breakpoints import BreakpointTable
from retroscope.replay.last_write import LastWrite, subject_of
from retroscope.replay.launch import launcher_of
from retroscope.replay.looking import Looker, Lookers, LookFailed
from retroscope.replay.moments import (
    Breakpoint,
    BreakpointStatus,
    Diverged,
    Frame,
    FrameId,
    InputId,
    Moment,
    OutputChunk,
    Reference,
    ReplayError,
    Scope,
    StopReason,
    TaskInfo,
    ThreadId,
    ThreadInfo,
    Tick,
    Value,
    WhatIf,
)
from retroscope.replay.motion import Interrupted, Motion, Search
from retroscope.replay.process import ReplayProcess
from retroscope.replay.protocol import ANY_DEPTH, ANY_THREAD, Marks, Reason, Stopped, Want
from retroscope.replay.reads import expressions_read
from retroscope.replay.recording import Recording
from retroscope.replay.stops import Stops
from retroscope.replay.sweeps import Sweep
from retroscope.replay.watches import Watches
from retroscope.replay.what_if import what_if
from retroscope.trace import Process

__all__ = [
    "Breakpoint", "BreakpointStatus", "Diverged", "Frame", "FrameId", "InputId", "Moment", "OutputChunk",
    "ProgressCallback", "Reference", "ReplayError", "Scope", "StopReason", "TaskInfo", "ThreadId", "ThreadInfo", "Tick",
    "Timeline", "TimelineApi", "TracePath", "Value", "WhatIf",
]  # fmt: skip

_PROGRESS_EVERY = 0.1


class Timeline:
    """See `TimelineApi` for what it offers. Not safe for several threads at once, except `interrupt`."""

    def __init__(
        self,
        recording: Recording,
        launch: Callable[[], ReplayProcess],
        end_launching: Callable[[], None],
        progress: ProgressCallback | None = None,
        budget: int | None = None,
    ) -> None:
        """`open` is the usual way. Takes `recording` over, and calls `end_launching` when everything is closed."""
        self.recording = recording
        self.program: Sequence[str] = recording.start.argv
        self.cwd = recording.start.cwd
        self.last_tick: Tick | None = None
        self.visible_only = True
        self.break_on_raised = False
        self.break_on_uncaught = False
        self._end_launching = end_launching
        self._progress = progress
        self._progress_shown = 0.0
        self._lookers = Lookers()
        self._table = BreakpointTable(recording.source_paths(), recording.source)
        self._motion = Motion(launch, budget)
        self._watches = Watches(self._motion)
        self._stops = Stops(self._motion, self._table, self._watches, recording)
        self._motion.on_leg = self._on_leg
        self.warning = self._motion.warning
        """What a person should know about this replay, for example that it is not sealed; mostly empty."""
        self.moving = False
        """Whether a motion is under way that `interrupt` would end."""
        try:
            self.now = self._stops.enter()
            self.visible_only = not self._stops.only_library
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, path: TracePath, process: int | None = None, progress: ProgressCallback | None = None) -> Timeline:
        """A timeline that stands before the first line of the program's own code. Raises ReplayError and TraceError."""
        recording = Recording(str(path), process)
        try:
            launch, end_launching = launcher_of(recording)
        except BaseException:
            recording.close()
            raise
        try:
            return cls(recording, launch, end_launching, progress)
        except BaseException:
            end_launching()
            recording.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends every process of this timeline."""
        self._lookers.close()
        self._motion.close()
        self._end_launching()
        self.recording.close()

    @property
    def entry(self) -> Tick:
        """The first line of the program's own code."""
        return self._stops.entry

    # -- going to a place

    def goto(self, tick: Tick) -> Moment:
        if tick < 1:
            raise ReplayError("ticks are counted from 1")
        return self._move(lambda: self._stops.go(tick))

    def goto_input(self, input: InputId) -> Moment:
        """Before the line that makes this input."""
        if not 0 <= input < self.recording.inputs:
            raise ReplayError(f"there is no input {input}; they are numbered from 0 to {self.recording.inputs - 1}")
        return self._move(lambda: self._stops.go(self._tick_of_input(input)))

    def goto_end(self) -> Moment:
        return self._move(self._stops.go_to_the_end)

    def goto_failure(self) -> Moment:
        return self._move(self._stops.go_to_failure)

    def last_write(self, expression: str, frame: FrameId | None = None) -> Moment:
        """Before the line that last changed the value of a name, attribute or constant item, up to now."""

        def move() -> Moment:
            subject = subject_of(self._motion.current, expression, frame or 0)
            write = LastWrite(self._motion, expression, subject).find(self.visible_only)
            return self._stops.go(Tick(write.tick), StopReason.GOTO, write.text)

        return self._move(move)

    # -- moving

    def step(self) -> Moment:
        return self._forward(Want.LINE)

    def next(self) -> Moment:
        return self._forward(Want.MARKED)

    def finish(self) -> Moment:
        return self._forward(Want.MARKED, leaving=True)

    def run(self) -> Moment:
        return self._forward(Want.NOTHING)

    def reverse_step(self) -> Moment:
        return self._backward(Want.LINE)

    def reverse_next(self) -> Moment:
        return self._backward(Want.MARKED)

    def reverse_finish(self) -> Moment:
        return self._backward(Want.MARKED, leaving=True)

    def reverse_run(self) -> Moment:
        return self._backward(Want.NOTHING)

    def interrupt(self) -> None:
        """From another thread or a signal handler: the motion under way ends with INTERRUPTED."""
        self._motion.interrupted.set()

    def hits(self, place: Breakpoint, from_now: bool = False) -> Iterator[Moment]:
        """Goes to every hit of `place` in the whole recording, or from now on, in order; other stops do not count.

        The timeline stands there each time. The last moment is another one: the end, or where it was interrupted.
        ReplayError if `place` means nothing.
        """
        table = BreakpointTable(self.recording.source_paths(), self.recording.source)
        (status,) = table.set([place])
        if not status.verified:
            raise ReplayError(status.message)
        stops = Stops(self._motion, table, Watches(self._motion), self.recording)
        search = Search(Want.BREAKPOINT, conditions=table.conditions)
        self._motion.set_breakpoints(table.entries)
        try:
            if not from_now:
                self._move(lambda: self._stops.go(Tick(1)))
            reason = StopReason.BREAKPOINT
            while reason is StopReason.BREAKPOINT:
                moment = self._move(lambda: stops.forward(self.now, search, StopReason.BREAKPOINT, False))
                reason = moment.reason
                yield moment
        finally:
            self._motion.set_breakpoints(self._table.entries)

    def sweep(self, place: Breakpoint | None, first: Tick) -> Sweep:
        """Every hit of `place` from tick `first` on, or without one all that is raised; the timeline stays where it is.

        ReplayError if `place` means nothing.
        """
        table = None
        if place is not None:
            table = BreakpointTable(self.recording.source_paths(), self.recording.source)
            (status,) = table.set([place])
            if not status.verified:
                raise ReplayError(status.message)
        return Sweep(self._motion, first, table, self.visible_only)

    def goto_output(self, line: int) -> Moment:
        """Before the line of code that wrote the end of the `line`-th line of output, of both streams together."""
        seen = 0
        for chunk in self.recording.output(InputId(self.recording.inputs)):
            seen += chunk.data.count(b"\n")
            if seen >= line > 0:
                return self.goto_input(chunk.input)
        raise ReplayError(f"there is no line {line} of output; the program wrote {seen}")

    # -- breakpoints

    def set_breakpoints(self, breakpoints: Sequence[Breakpoint]) -> list[BreakpointStatus]:
        statuses = self._table.set(breakpoints)
        self._motion.set_breakpoints(self._table.entries)
        return statuses

    def watch(self, number: int, expression: str, frame: FrameId | None = None) -> str:
        """From now on a change of this value stops motions, as breakpoint `number`; the value's text.

        Meant is the place where the value is kept at this moment. ReplayError says why it cannot be watched.
        """
        return self._watches.add(number, expression, frame or 0)

    def keep_watches(self, numbers: Iterable[int]) -> None:
        """Ends all watches but these."""
        self._watches.keep(numbers)

    # -- looking

    def threads(self) -> list[ThreadInfo]:
        """Those that were started by now, in that order; after the end, when nothing can be asked, the main thread."""
        if self._at_end():
            return [ThreadInfo(ThreadId(1), "MainThread", "finished")]
        rows = self._viewer().ask("all_threads")
        return [ThreadInfo(ThreadId(number), name, state, waits) for number, name, state, waits in rows]

    def tasks(self) -> list[TaskInfo]:
        """The asyncio tasks of this moment that are not over, by name."""
        if self._at_end():
            return []
        rows = self._viewer().ask("tasks")
        return [TaskInfo(name, state, waits, tuple(map(_frame, frames))) for name, state, waits, frames in rows]

    def stack(self, thread: ThreadId | None = None) -> list[Frame]:
        """Of the running thread, or of another; innermost first. Empty after the end."""
        if self._at_end():
            return []
        return [_frame(row) for row in self._viewer().ask("stack", thread or 0)]

    def scopes(self, frame: FrameId) -> list[Scope]:
        viewer = self._viewer()
        rows = viewer.ask("scopes", frame)
        return [Scope(name, Reference(self._lookers.hold(viewer, reference))) for name, reference in rows]

    def expand(self, reference: Reference, start: int = 0, count: int | None = None) -> list[Value]:
        looker, held = self._lookers.held(reference)
        return [self._value(looker, row) for row in looker.ask("children", held, start, count)]

    def evaluate(self, expression: str, frame: FrameId | None = None) -> Value:
        """An expression's repr, or what a statement printed. An error of the expression is a failed Value."""
        try:
            looker = self._lookers.evaluation(self._motion.current)
            printed, row, failure = looker.ask("evaluate", frame or 0, expression)
        except LookFailed as error:
            return Value(expression, str(error), "", failed=True)
        if failure is not None:
            return Value(expression, printed + failure, "", failed=True)
        if row is None:
            return Value(expression, printed.removesuffix("\n"), "")
        value = self._value(looker, row)
        if printed:
            value = replace(value, text=(printed + ("" if row[2] == "NoneType" else value.text)).removesuffix("\n"))
        return value

    def reads(self, frame: FrameId) -> list[Value]:
        """What the line at which the frame stands reads, each named as it is written there."""
        shown = next(each for each in self.stack() if each.id == frame)
        source = self.source(shown.path)
        expressions = expressions_read(source, shown.line) if source else []
        return [replace(self.evaluate(expression, frame), name=expression) for expression in expressions]

    def arguments(self, frame: FrameId) -> list[str]:
        """The names of the parameters of a frame's function."""
        return [str(name) for name in self._viewer().ask("arguments", frame)]

    def names(self, frame: FrameId) -> list[str]:
        """Every name that is in scope in a frame, for completion."""
        return [str(name) for name in self._viewer().ask("names", frame)]

    def processes(self) -> list[Process]:
        """Every process of the trace, in order of start."""
        return self.recording.processes()

    def source(self, path: str) -> str | None:
        return self.recording.source(path)

    def source_paths(self) -> list[str]:
        return self.recording.source_paths()

    def output(self, upto: InputId | None = None) -> list[OutputChunk]:
        if upto is None:
            upto = InputId(self.recording.inputs) if self._at_end() else self.now.input
        return list(self.recording.output(upto))

    def inputs(self, first: InputId, most: int) -> list[tuple[InputId, str, str]]:
        """(number, callable, value) of at most `most` inputs from `first` on."""
        rows = islice(self.recording.input_lines(first), most)
        return [(InputId(number), name, value) for number, name, value in rows]

    def last_line_of(self, path: str) -> int | None:
        text = self.source(path)
        return None if text is None else len(text.splitlines())

    def what_if(self, statement: str, frame: FrameId | None = None) -> WhatIf:
        """What the program would do if `statement` ran now, in a frame: see `what_if.py`. Everything stays as it is."""
        if self._motion.current.over:
            raise ReplayError("no code is running here, so nothing can be changed; go back first")
        self._motion.interrupted.clear()
        self.moving = True
        try:
            return what_if(self._motion, statement, frame or 0)
        except Interrupted:
            raise ReplayError("interrupted") from None
        finally:
            self.moving = False

    # -- how motion is done

    def _move(self, motion: Callable[[], Moment]) -> Moment:
        """Runs a motion, and makes `now` true whatever becomes of it."""
        self._lookers.close()
        self._motion.interrupted.clear()
        self.moving = True
        try:
            self.now = motion()
        except Interrupted:
            self.now = self._stops.moment(StopReason.INTERRUPTED, "interrupted")
        except Diverged as error:
            last = self._motion.current.last
            if last is None or last.reason not in (Reason.DIVERGED, Reason.SEALED):
                raise
            self.now = self._stops.moment(StopReason.DIVERGED, str(error))
        finally:
            self.moving = False
            if self._motion.end is not None:
                self.last_tick = Tick(self._motion.end.tick)
        return self.now

    def _forward(self, want: Want, leaving: bool = False) -> Moment:
        plain = StopReason.STEP if want else StopReason.BREAKPOINT
        marks = self._marks(first=int(leaving)) if want == Want.MARKED else None
        search, uncaught = self._search(want, marks), self._stops_at_uncaught(want)
        return self._move(lambda: self._stops.forward(self.now, search, plain, uncaught))

    def _backward(self, want: Want, leaving: bool = False) -> Moment:
        plain = StopReason.STEP if want else StopReason.BREAKPOINT
        marks = self._marks(beginning=leaving) if want == Want.MARKED else None
        search, uncaught = self._search(want, marks), self._stops_at_uncaught(want)
        return self._move(lambda: self._stops.backward(search, plain, uncaught))

    def _stops_at_uncaught(self, want: Want) -> bool:
        """What is never caught is known after the end was seen: a mere step does not replay everything to learn it."""
        return self.break_on_uncaught and (self.last_tick is not None or want == Want.NOTHING)

    def _marks(self, first: int = 0, beginning: bool = False) -> Marks | None:
        """The running thread's frames; None after the end, where every line is as good as another."""
        words = () if self._motion.current.over else self._motion.current.stack()
        marks = Marks(words, first, beginning)
        return (marks if self.visible_only else marks.showing_all()) if words else None

    def _search(self, want: Want, marks: Marks | None) -> Search:
        """`want` and whatever else stops a motion."""
        if want == Want.MARKED and marks is None:
            want = Want.LINE
        over = self._motion.current.over
        thread = ANY_THREAD if want == Want.NOTHING or over else self.now.thread
        if self.visible_only:
            want |= Want.VISIBLE
        if not self._table.empty:
            want |= Want.BREAKPOINT
        if self.break_on_raised:
            want |= Want.RAISE
        if self._watches:
            want |= Want.WATCH
        return Search(want, ANY_DEPTH, thread, self._table.conditions, marks=marks)

    def _at_end(self) -> bool:
        """Whether the program is over, whatever the last motion was."""
        last = self._motion.current.last
        return last is not None and last.reason is Reason.END

    def _tick_of_input(self, number: int) -> Tick:
        """The last tick before whose line fewer than `number` + 1 inputs were used."""
        return Tick(max(self._motion.last_tick_where(lambda stopped: stopped.input <= number), 1))

    def _viewer(self) -> Looker:
        return self._lookers.viewer(self._motion.current)

    def _value(self, looker: Looker, row: Sequence[object]) -> Value:
        name, text, kind, reference, named, indexed, expression = row
        assert isinstance(reference, int) and isinstance(named, int) and isinstance(indexed, int)
        return Value(
            str(name), str(text), str(kind), Reference(self._lookers.hold(looker, reference)), named, indexed,
            expression if isinstance(expression, str) else None,
        )  # fmt: skip

    def _on_leg(self, stopped: Stopped) -> None:
        if self._progress and time.monotonic() - self._progress_shown > _PROGRESS_EVERY:
            self._progress_shown = time.monotonic()
            self._progress(Tick(stopped.tick), InputId(stopped.input), InputId(self.recording.inputs))


def _frame(row: Sequence[object]) -> Frame:
    number, function, path, line, visible = row
    assert isinstance(number, int) and isinstance(line, int)
    return Frame(FrameId(number), str(function), str(path), line, bool(visible))
