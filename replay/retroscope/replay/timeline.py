"""The timeline of one recorded process: the only object front ends use.

In: a trace file. Out: moments, frames, values. It never shows a value that it did not compute at exactly
the moment it names; what it cannot know it says.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby, islice
from types import TracebackType
from typing import Self

from retroscope.replay.api import ProgressCallback, TimelineApi, TracePath
from retroscope.replay.breakpoints import BreakpointTable
from retroscope.replay.last_write import LastWrite
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
    ThreadId,
    ThreadInfo,
    Tick,
    Value,
)
from retroscope.replay.motion import BeyondTheEnd, Interrupted, Motion, Search
from retroscope.replay.process import ReplayProcess
from retroscope.replay.protocol import ANY_DEPTH, ANY_THREAD, Match, Reason, Stopped, Want
from retroscope.replay.recording import Recording

__all__ = [
    "Breakpoint", "BreakpointStatus", "Diverged", "Frame", "FrameId", "InputId", "Moment", "OutputChunk",
    "ProgressCallback", "Reference", "ReplayError", "Scope", "StopReason", "ThreadId", "ThreadInfo", "Tick", "Timeline",
    "TimelineApi", "TracePath", "Value",
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
        self._motion.on_leg = self._on_leg
        self.warning = self._motion.warning
        """What a person should know about this replay, for example that it is not sealed; mostly empty."""
        self.entry = Tick(1)
        """The first line of the program's own code."""
        self.moving = False
        """Whether a motion is under way that `interrupt` would end."""
        try:
            self.now = self._enter()
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

    # -- going to a place

    def goto(self, tick: Tick) -> Moment:
        if tick < 1:
            raise ReplayError("ticks are counted from 1")
        return self._move(lambda: self._go(tick))

    def goto_input(self, input: InputId) -> Moment:
        """Before the line that makes this input."""
        if not 0 <= input < self.recording.inputs:
            raise ReplayError(f"there is no input {input}; they are numbered from 0 to {self.recording.inputs - 1}")
        return self._move(lambda: self._go(Tick(max(self._tick_of_input(input), 1))))

    def goto_end(self) -> Moment:
        return self._move(lambda: self._ended(self._motion.to_the_end()))

    def goto_failure(self) -> Moment:
        return self._move(self._go_to_failure)

    # -- moving

    def step(self) -> Moment:
        return self._move(lambda: self._forward(self._search(Want.LINE), StopReason.STEP))

    def next(self) -> Moment:
        return self._move(lambda: self._forward(self._search(Want.SHALLOW, self._depth()), StopReason.STEP))

    def finish(self) -> Moment:
        return self._move(lambda: self._forward(self._search(Want.SHALLOW, self._depth() - 1), StopReason.STEP))

    def run(self) -> Moment:
        return self._move(lambda: self._forward(self._search(Want.NOTHING), StopReason.BREAKPOINT))

    def reverse_step(self) -> Moment:
        return self._move(lambda: self._backward(self._search(Want.LINE), StopReason.STEP))

    def reverse_next(self) -> Moment:
        return self._move(lambda: self._backward(self._search(Want.SHALLOW, self._depth()), StopReason.STEP))

    def reverse_finish(self) -> Moment:
        return self._move(lambda: self._backward(self._search(Want.SHALLOW, self._depth() - 1), StopReason.STEP))

    def reverse_run(self) -> Moment:
        return self._move(lambda: self._backward(self._search(Want.NOTHING), StopReason.BREAKPOINT))

    def interrupt(self) -> None:
        """From another thread or a signal handler: the motion under way ends with INTERRUPTED."""
        self._motion.interrupted.set()

    # -- breakpoints

    def set_breakpoints(self, breakpoints: Sequence[Breakpoint]) -> list[BreakpointStatus]:
        statuses = self._table.set(breakpoints)
        self._motion.set_breakpoints(self._table.entries)
        return statuses

    # -- looking

    def threads(self) -> list[ThreadInfo]:
        return [ThreadInfo(self.now.thread or ThreadId(1), "MainThread")]

    def stack(self, thread: ThreadId | None = None) -> list[Frame]:
        """Innermost first; empty after the end."""
        if self._motion.current.over and self.now.reason is StopReason.END:
            return []
        rows = self._viewer().ask("stack")
        return [
            Frame(FrameId(number), function, path, line, bool(visible))
            for number, (function, path, line, visible) in enumerate(rows)
        ]

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

    def arguments(self, frame: FrameId) -> list[str]:
        """The names of the parameters of a frame's function."""
        return [str(name) for name in self._viewer().ask("arguments", frame)]

    def names(self, frame: FrameId) -> list[str]:
        """Every name that is in scope in a frame, for completion."""
        return [str(name) for name in self._viewer().ask("names", frame)]

    def source(self, path: str) -> str | None:
        return self.recording.source(path)

    def source_paths(self) -> list[str]:
        return self.recording.source_paths()

    def output(self, upto: InputId | None = None) -> list[OutputChunk]:
        if upto is None:
            upto = InputId(self.recording.inputs) if self.now.reason is StopReason.END else self.now.input
        return list(self.recording.output(upto))

    def inputs(self, first: InputId, most: int) -> list[tuple[InputId, str, str]]:
        """(number, callable, value) of at most `most` inputs from `first` on."""
        rows = islice(self.recording.input_lines(first), most)
        return [(InputId(number), name, value) for number, name, value in rows]

    def last_line_of(self, path: str) -> int | None:
        text = self.source(path)
        return None if text is None else len(text.splitlines())

    # -- how motion is done

    def _move(self, motion: Callable[[], Moment]) -> Moment:
        """Runs a motion, and makes `now` true whatever becomes of it."""
        self._lookers.close()
        self._motion.interrupted.clear()
        self.moving = True
        try:
            self.now = motion()
        except Interrupted:
            self.now = self._moment(StopReason.INTERRUPTED, "interrupted")
        except Diverged as error:
            last = self._motion.current.last
            if last is None or last.reason not in (Reason.DIVERGED, Reason.SEALED):
                raise
            self.now = self._moment(StopReason.DIVERGED, str(error))
        finally:
            self.moving = False
            if self._motion.end is not None:
                self.last_tick = Tick(self._motion.end.tick)
        return self.now

    def _enter(self) -> Moment:
        stopped = self._motion.forward(Search(Want.LINE | Want.VISIBLE))
        if stopped.reason is Reason.END:
            return self._ended(stopped)
        self.entry = Tick(stopped.tick)
        return self._moment(StopReason.ENTRY)

    def _go(self, tick: Tick, reason: StopReason = StopReason.GOTO, text: str = "") -> Moment:
        try:
            self._motion.to(tick)
        except BeyondTheEnd as error:
            raise ReplayError(f"there is no tick {tick}: {error}") from error
        return self._moment(reason, text)

    def _go_to_failure(self) -> Moment:
        self._motion.learn_end()
        ending = self._ending()
        if ending.get("uncaught") is None:
            raise ReplayError("the program did not end with an uncaught exception")
        tick = ending.get("raise_tick")
        if not isinstance(tick, int):
            raise ReplayError(f"where {ending['uncaught']} was raised is not known")
        return self._raised_at(Tick(tick), "raised here and never caught")

    def _search(self, want: Want, max_depth: int = ANY_DEPTH) -> Search:
        """`want` and whatever else stops a motion."""
        thread = ANY_THREAD if want == Want.NOTHING else self.now.thread
        if self.visible_only:
            want |= Want.VISIBLE
        if not self._table.empty:
            want |= Want.BREAKPOINT
        if self.break_on_raised:
            want |= Want.RAISE
        return Search(want, max_depth, thread)

    def _depth(self) -> int:
        current = self._motion.current
        return ANY_DEPTH if current.over or current.last is None else current.last.depth

    def _forward(self, search: Search, plain: StopReason) -> Moment:
        if self._motion.current.over:
            return replace(self.now, text="the program is over: only reverse motion leads on")
        began = self._motion.current.tick
        raised_here = self.now.reason is StopReason.EXCEPTION
        while True:
            stopped = self._motion.forward(search, raise_here=not raised_here)
            raised_here = False
            if stopped.reason is Reason.END:
                return self._end_or_failure(stopped, began)
            matches = list(stopped.matches)
            if _is_of_another_frame(matches[-1], search):
                search = replace(search, max_depth=search.max_depth - 1)  # the frame that the user is in has returned
                matches.pop()
            moment = self._accept(matches, plain)
            if moment is not None:
                return moment

    def _backward(self, search: Search, plain: StopReason) -> Moment:
        bound = self._motion.bound
        if search.want & Want.SHALLOW and self._motion.begins_frame(search):
            search = replace(search, max_depth=search.max_depth - 1)  # what lies before is not of this frame
        failure = self._failure_before(bound)
        places = groupby(self._motion.backward(search, bound), lambda match: match.tick)
        for tick, matches in places:
            if failure is not None and tick <= failure:
                break
            moment = self._accept_past(Tick(tick), list(matches), plain)
            if moment is not None:
                return moment
        if failure is not None:
            return self._raised_at(Tick(failure), "raised here and never caught")
        first = self.entry if bound > self.entry else Tick(1)
        return self._go(first, StopReason.BEGINNING, "the recording begins here")

    def _accept(self, matches: list[Match], plain: StopReason) -> Moment | None:
        """The moment that the current process stands at, if its matches are worth a stop."""
        if any(match.kind == Want.RAISE for match in matches):
            return self._raised_at(Tick(matches[-1].tick), "raised here")
        hits, complaint = self._hits(matches, self._motion.current)
        if hits:
            return replace(self._moment(StopReason.BREAKPOINT, complaint), breakpoints=hits)
        lines = any(match.kind in (Want.LINE, Want.SHALLOW) for match in matches)
        return self._moment(plain) if lines else None

    def _accept_past(self, tick: Tick, matches: list[Match], plain: StopReason) -> Moment | None:
        """The same for a tick in the past; the current process goes there only if it is accepted."""
        if all(match.kind == Want.BREAKPOINT for match in matches) and not self._may_hit(matches, tick):
            return None
        self._motion.to(tick)
        return self._accept(matches, plain)

    def _may_hit(self, matches: list[Match], tick: Tick) -> bool:
        """Whether a condition holds at `tick`, tried on a process of its own."""
        if any(each.condition is None for match in matches for each in self._table.of_row(match.detail)):
            return True
        process = self._motion.stand(tick)
        try:
            return bool(self._hits(matches, process)[0])
        finally:
            self._motion.give_back(process)

    def _hits(self, matches: list[Match], process: ReplayProcess) -> tuple[tuple[int, ...], str]:
        """(numbers of the breakpoints that hold here, what to say about a condition that failed)."""
        found = [match.detail for match in matches if match.kind == Want.BREAKPOINT]
        asked = [each for row in found for each in self._table.of_row(row)]
        if not any(each.condition for each in asked):
            return tuple(each.id for each in asked), ""
        hits, complaint = [], ""
        for each in asked:
            holds, error = _condition_holds(process, each.condition)
            if error:
                complaint = f"the condition of breakpoint {each.id} failed: {error}"
            if holds or error:
                hits.append(each.id)
        return tuple(hits), complaint

    def _raised_at(self, tick: Tick, text: str) -> Moment:
        exception = self._exception_at(tick)
        moment = self._go(tick, StopReason.EXCEPTION, text)
        return replace(moment, exception=exception)

    def _exception_at(self, tick: Tick) -> str | None:
        """Type and message of what the line of `tick` raises, None when that cannot be told."""
        process = self._motion.inside_raise(tick)
        if process is None:
            return None
        try:
            looker = Looker(process)
            try:
                said = looker.ask("raising")
                return None if said is None else str(said)
            finally:
                looker.close()
        except LookFailed:
            return None
        finally:
            process.kill()

    def _failure_before(self, bound: int) -> int | None:
        """The tick of the uncaught exception, if it is a stop and lies before `bound`."""
        if not self.break_on_uncaught:
            return None
        self._motion.learn_end()
        tick = self._ending().get("raise_tick")
        return tick if isinstance(tick, int) and tick < bound else None

    def _end_or_failure(self, stopped: Stopped, began: int) -> Moment:
        tick = self._ending().get("raise_tick")
        seen = self.now.reason is StopReason.EXCEPTION
        if self.break_on_uncaught and isinstance(tick, int) and (tick > began or (tick == began and not seen)):
            return self._raised_at(Tick(tick), "raised here and never caught")
        return self._ended(stopped)

    def _ended(self, stopped: Stopped) -> Moment:
        ending = self._ending()
        status = self.recording.exit_status
        text = "the program is over" + (f", exit status {status}" if status is not None else "")
        if self.recording.cut_off:
            text = f"the recording ends here: {self.recording.cut_off}"
        elif ending.get("uncaught"):
            text += f", after an uncaught {ending['uncaught']}"
        return self._moment(StopReason.END, text)

    def _ending(self) -> dict[str, object]:
        end = self._motion.end
        ending = json.loads(end.text) if end and end.text else {}
        return ending if isinstance(ending, dict) else {}

    def _tick_of_input(self, number: int) -> int:
        """The last tick before whose line fewer than `number` + 1 inputs were used."""
        return self._motion.last_tick_where(lambda stopped: stopped.input <= number)

    def _moment(self, reason: StopReason, text: str = "") -> Moment:
        last = self._motion.current.last
        assert last is not None, "a process that was launched has said where it stands"
        return Moment(Tick(last.tick), InputId(last.input), ThreadId(last.thread), reason, text)

    def _viewer(self) -> Looker:
        return self._lookers.viewer(self._motion.current)

    def _value(self, looker: Looker, row: Sequence[object]) -> Value:
        name, text, kind, reference, named, indexed, expression = row
        assert isinstance(reference, int) and isinstance(named, int) and isinstance(indexed, int)
        return Value(
            str(name), str(text), str(kind), Reference(self._lookers.hold(looker, reference)), named, indexed,
            expression if isinstance(expression, str) else None,
        )  # fmt: skip

    def last_write(self, expression: str, frame: FrameId | None = None) -> Moment:
        """Before the line that last changed the value of a name, attribute or constant item, up to now."""
        return self._move(lambda: self._last_write(expression, frame or FrameId(0)))

    def _last_write(self, expression: str, frame: FrameId) -> Moment:
        write = LastWrite(self._motion, expression, frame).find(self.visible_only)
        return self._go(Tick(write.tick), StopReason.GOTO, write.text)

    def _on_leg(self, stopped: Stopped) -> None:
        if self._progress and time.monotonic() - self._progress_shown > _PROGRESS_EVERY:
            self._progress_shown = time.monotonic()
            self._progress(Tick(stopped.tick), InputId(stopped.input), InputId(self.recording.inputs))


def _is_of_another_frame(match: Match, search: Search) -> bool:
    """Whether a line is shallow enough only because a new frame took the place of the one that the user is in."""
    return match.kind == Want.SHALLOW and match.depth == search.max_depth and bool(match.detail)


def _condition_holds(process: ReplayProcess, condition: str | None) -> tuple[bool, str | None]:
    if condition is None:
        return True, None
    looker = Looker(process)
    try:
        holds, error = looker.ask("truth", 0, condition)
    except LookFailed as failed:
        return False, str(failed)
    finally:
        looker.close()
    return bool(holds), error
