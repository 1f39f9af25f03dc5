"""The timeline of one recorded process: the only object front ends use.

In: a trace file. Out: moments, frames, values. It never shows a value that it did not compute at exactly
the moment it names; what it cannot know it says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from retroscope.replay.api import ProgressCallback, TimelineApi, TracePath
from retroscope.replay.breakpoints import BreakpointTable
from retroscope.replay.build import build_warning
from retroscope.replay.clock import find_time
from retroscope.replay.divergence import diverged
from retroscope.replay.index import fitting_index
from retroscope.replay.last_write import LastWrite, subject_of
from retroscope.replay.launch import launcher_of
from retroscope.replay.legs import Interrupted, Search
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
from retroscope.replay.motion import Motion
from retroscope.replay.numbered import nth_moment, too_few
from retroscope.replay.outcomes import Outcome, outcome
from retroscope.replay.process import ReplayProcess
from retroscope.replay.protocol import ANY_DEPTH, ANY_THREAD, Marks, Reason, Stopped, Want
from retroscope.replay.recording import Recording
from retroscope.replay.shown import Shown
from retroscope.replay.stops import Stops
from retroscope.replay.sweeps import Sweep
from retroscope.replay.views import Views
from retroscope.replay.watches import Watchable, Watches
from retroscope.replay.what_if import what_if

__all__ = [
    "Breakpoint", "BreakpointStatus", "Diverged", "Frame", "FrameId", "InputId", "Moment", "OutputChunk",
    "ProgressCallback", "Reference", "ReplayError", "Scope", "StopReason", "TaskInfo", "ThreadId", "ThreadInfo", "Tick",
    "Timeline", "TimelineApi", "TracePath", "Value", "WhatIf",
]  # fmt: skip

_PROGRESS_EVERY = 0.1


class Timeline(Shown):
    """See `TimelineApi` for what it offers. Not safe for several threads at once, except `interrupt`."""

    def __init__(
        self, recording: Recording, launch: Callable[[], ReplayProcess], end_launching: Callable[[], None],
        progress: ProgressCallback | None = None, budget: int | None = None, use_index: bool = True,
    ) -> None:  # fmt: skip
        """`open` is the usual way. Takes `recording` over, and calls `end_launching` when everything is closed."""
        self._motion = Motion(launch, budget)
        super().__init__(recording, Views(self._motion))
        self.program: Sequence[str] = recording.start.argv
        self.cwd = recording.start.cwd
        self.last_tick: Tick | None = None
        self.visible_only = True
        self.break_on_raised = False
        self.break_on_uncaught = False
        self.uncaught_types: tuple[str, ...] = ()
        """With `break_on_uncaught`: the names of the exception types that stop, without their modules; none: all."""
        self._end_launching = end_launching
        self._progress = progress
        self._progress_shown = 0.0
        self._table = BreakpointTable(recording.source_paths(), recording.source)
        self._watches = Watches(self._motion)
        self.index, complaint = fitting_index(recording) if use_index else (None, "")
        """What is known of the whole past without running it; None when there is no index, or none that fits."""
        self._stops = Stops(self._motion, self._table, self._watches, recording, self.index)
        self._motion.report_to(self._on_leg)
        self.warning = "; ".join(filter(None, [self._motion.warning, build_warning(recording), complaint]))
        """What a person should know about this replay, for example that another build recorded; mostly empty."""
        self.moving = False
        """Whether a motion is under way that `interrupt` would end."""
        try:
            self.now = self._stops.enter()
            self.visible_only = not self._stops.only_library
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(
        cls, path: TracePath, process: int | None = None, progress: ProgressCallback | None = None,
        use_index: bool = True,
    ) -> Timeline:  # fmt: skip
        """A timeline that stands before the first line of the program's own code. Raises ReplayError and TraceError.

        `use_index`: questions that the trace's index answers are not answered by running.
        """
        recording = Recording(str(path), process)
        try:
            launch, end_launching = launcher_of(recording)
        except BaseException:
            recording.close()
            raise
        try:
            return cls(recording, launch, end_launching, progress, use_index=use_index)
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
        self._views.close()
        if self.index is not None:
            self.index.close()
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
        return self._move(lambda: self._stops.go(self._stops.tick_of_input(input)))

    def goto_end(self) -> Moment:
        return self._move(self._stops.go_to_the_end)

    def goto_failure(self) -> Moment:
        return self._move(self._stops.go_to_failure)

    def last_write(self, expression: str, frame: FrameId | None = None, use_index: bool = True) -> Moment:
        """Before the line that last changed the value of a name, attribute or constant item, up to now.

        What the index cannot be certain of is said; without `use_index` it is searched for, which takes longer.
        """

        def move() -> Moment:
            subject = subject_of(self._motion.current, expression, frame or 0)
            index = self.index if use_index else None
            write = LastWrite(self._motion, expression, subject, index=index).find(self.visible_only)
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
        table = self._table_of(place)
        stops = Stops(self._motion, table, Watches(self._motion), self.recording, self.index)
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

    def goto_line(self, place: Breakpoint, back: bool = False) -> Moment:
        """To the next hit of a place, or the last one before; ReplayError when there is none, and it stays."""
        table, origin = self._table_of(place), self.now
        stops = Stops(self._motion, table, Watches(self._motion), self.recording)
        search = Search(Want.BREAKPOINT, conditions=table.conditions)
        self._motion.set_breakpoints(table.entries)
        try:
            plain = StopReason.BREAKPOINT
            moment = self._move(
                lambda: stops.backward(search, plain, False) if back else stops.forward(origin, search, plain, False)
            )
        finally:
            self._motion.set_breakpoints(self._table.entries)
        if moment.reason in (StopReason.END, StopReason.BEGINNING):
            self.goto_end() if origin.reason is StopReason.END else self.goto(origin.tick)
            raise ReplayError(f"that place is not reached {'before' if back else 'after'} this moment")
        at_place = moment.reason is StopReason.BREAKPOINT
        return replace(moment, reason=StopReason.GOTO, breakpoints=()) if at_place else moment

    def sweep(self, place: Breakpoint | None, first: Tick) -> Sweep:
        """Every hit of `place` from tick `first` on, or without one all that is raised; the timeline stays. ReplayError
        if `place` means nothing."""
        table = None if place is None else self._table_of(place)
        return Sweep(self._motion, first, table, self.visible_only)

    def outcome(self) -> Outcome:
        """How the call of the innermost frame ends; the timeline stays. ReplayError where no code runs; Diverged."""
        return outcome(self._motion, self.recording, self.index, self.now.tick, self.stack())

    def goto_output(self, line: int) -> Moment:
        """Before the line of code that wrote the end of the `line`-th line of output, of both streams together."""
        return self.goto_input(self.recording.input_of_line(line))

    def goto_time(self, text: str) -> Moment:
        """To `12:34:56.789`, or `+3.5s` after the start, as near as the recording knows."""
        told = find_time(self.recording, text)
        return self._move(lambda: self._stops.go(self._stops.tick_after_input(told.input), text=told.text))

    def goto_raise(self, number: int, types: Sequence[str] = ()) -> Moment:
        """To the N-th exception that was raised, in the user's own code if only that is shown; of these types only."""
        table = BreakpointTable([], lambda _: None)
        table.raised_types = tuple(types)
        search = Search(Want.RAISE | (Want.VISIBLE if self.visible_only else Want.NOTHING))
        return self._move(lambda: self._nth(table, search, number))

    def goto_hit(self, place: Breakpoint, number: int) -> Moment:
        """To the N-th hit of a place in the whole recording."""
        if place.condition is None and place.hits is None:
            table = self._table_of(place)
            return self._move(lambda: self._nth(table, Search(Want.BREAKPOINT), number))
        origin, count = self.now, 0
        for moment in self.hits(place):
            count += moment.reason is StopReason.BREAKPOINT
            if count == number or moment.reason is StopReason.INTERRUPTED:
                return replace(moment, breakpoints=())
        self.goto_end() if origin.reason is StopReason.END else self.goto(origin.tick)
        raise ReplayError(too_few(count, number))

    def _nth(self, table: BreakpointTable, search: Search, number: int) -> Moment:
        stops = Stops(self._motion, table, self._watches, self.recording)
        try:
            return nth_moment(self._motion, stops, table, search, number)
        finally:
            self._motion.set_breakpoints(self._table.entries)

    def _table_of(self, place: Breakpoint) -> BreakpointTable:
        """With this place only; ReplayError if it means nothing."""
        table = BreakpointTable(self.recording.source_paths(), self.recording.source)
        (status,) = table.set([place])
        if not status.verified:
            raise ReplayError(status.message)
        return table

    # -- breakpoints

    @property
    def raised_types(self) -> tuple[str, ...]:
        """With `break_on_raised`: the names of the exception types that stop, without their modules; none: all."""
        return self._table.raised_types

    @raised_types.setter
    def raised_types(self, names: tuple[str, ...]) -> None:
        self._table.raised_types = names
        self._motion.set_breakpoints(self._table.entries)

    @property
    def on_message(self) -> Callable[[Breakpoint, Tick, str], None]:
        """Called with what breakpoints with a message say, where a motion passes them."""
        return self._stops.on_message

    @on_message.setter
    def on_message(self, hear: Callable[[Breakpoint, Tick, str], None]) -> None:
        self._stops.on_message = hear

    def set_breakpoints(self, breakpoints: Sequence[Breakpoint]) -> list[BreakpointStatus]:
        statuses = self._table.set(breakpoints)
        self._motion.set_breakpoints(self._table.entries)
        return statuses

    def watch(self, number: int, expression: str, frame: FrameId | None = None) -> str:
        """From now on a change of this value, where it is kept at this moment, stops motions as breakpoint `number`.
        Its text; ReplayError says why it cannot be watched."""
        watched = self.watchable(expression, frame)
        self._watches.add(number, watched)
        return watched.text

    def watchable(self, expression: str, frame: FrameId | None = None) -> Watchable:
        """The place where a value is kept at this moment, for `set_watches` at any other. ReplayError: none."""
        return self._watches.prepare(expression, frame or 0)

    def set_watches(self, watches: Sequence[tuple[int, Watchable]]) -> None:
        """Replaces all watches by these, with their numbers."""
        self._watches.keep([])
        for number, watched in watches:
            self._watches.add(number, watched)

    def keep_watches(self, numbers: Iterable[int]) -> None:
        """Ends all watches but these."""
        self._watches.keep(numbers)

    # -- supposing

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
        self._views.close()
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
            explained = diverged(self.recording, str(error), last.input)
            self.now = self._stops.moment(StopReason.DIVERGED, str(explained))
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
        if not self.break_on_uncaught or (self.last_tick is None and want != Want.NOTHING):
            return False
        return not self.uncaught_types or self._stops.uncaught_is(self.uncaught_types)

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

    def _on_leg(self, stopped: Stopped) -> None:
        if self._progress and time.monotonic() - self._progress_shown > _PROGRESS_EVERY:
            self._progress_shown = time.monotonic()
            self._progress(Tick(stopped.tick), InputId(stopped.input), InputId(self.recording.inputs))
