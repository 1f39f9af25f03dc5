"""All places of one kind in a recording, in order, found by a process of the sweep's own: the current one stays.

So a script may look at each place that it is given, or move about, and the sweep goes on from where it was.
"""

from __future__ import annotations

from dataclasses import replace
from types import TracebackType
from typing import Self

from retroscope.replay.breakpoints import BreakpointTable
from retroscope.replay.legs import Interrupted, Search
from retroscope.replay.looking import Looker, LookFailed, asked
from retroscope.replay.moments import InputId, Moment, ReplayError, StopReason, ThreadId, Tick
from retroscope.replay.motion import Motion
from retroscope.replay.process import ReplayProcess
from retroscope.replay.protocol import Reason, Stopped, Want


class Sweep:
    """An iterator over the hits of a table of breakpoints, or without one over what is raised. To be closed."""

    def __init__(self, motion: Motion, first: Tick, table: BreakpointTable | None, visible_only: bool) -> None:
        """From tick `first` on. `visible_only`: only what the user's own code raises; breakpoints count everywhere."""
        self._motion = motion
        self._entries = table.entries if table else []
        self._conditions = table.conditions if table else ()
        visible = Want.VISIBLE if visible_only else Want.NOTHING
        self._search = Search(Want.BREAKPOINT if table else Want.RAISE | visible)
        self._tick = max(first - 1, 0)
        self._here = self._skip = 0
        """How many places of tick `_tick` were given out, and how many of them will be met again."""
        self._process: ReplayProcess | None = None
        self._scout: ReplayProcess | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends its processes."""
        for process in (self._process, self._scout):
            if process is not None:
                process.kill()
        self._process = self._scout = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Moment:
        self._motion.interrupted.clear()
        try:
            found = self._next_true() if self._conditions else self._next()
        except Interrupted:
            raise ReplayError("interrupted") from None
        if found is None:
            self.close()
            raise StopIteration
        return found

    def _next(self) -> Moment | None:
        """The next place, None when there is none."""
        while True:
            process = self._standing()
            stopped = self._motion.sweep(process, self._entries, self._search)
            if stopped is None:
                self.close()
                continue
            if stopped.reason is Reason.END:
                return None
            if self._skip and stopped.tick == self._tick:
                self._skip -= 1
                continue
            self._note(stopped.tick)
            if stopped.matches[-1].kind == Want.RAISE:
                return replace(_moment(stopped, StopReason.EXCEPTION), exception=_raised_in(process))
            return _moment(stopped, StopReason.BREAKPOINT)

    def _next_true(self) -> Moment | None:
        """The next hit whose condition holds. A scout passes by what certainly does not; the rest is asked exactly."""
        search = replace(self._search, conditions=self._conditions)
        while True:
            process = self._standing()
            self._scout = self._scout or process.fork()
            candidate = self._motion.sweep(self._scout, self._entries, search)
            if candidate is not None and candidate.reason is Reason.END:
                return None
            if candidate is None or self._motion.sweep(process, [], Search(Want.NOTHING), candidate.tick) is None:
                self.close()
                continue
            if self._skip and candidate.tick == self._tick:
                self._skip -= 1
                continue
            self._note(candidate.tick)
            complaint = _complaint_of(process, [text for _, text in self._conditions])
            if complaint is not None:
                return replace(_moment(candidate, StopReason.BREAKPOINT), text=complaint)

    def _standing(self) -> ReplayProcess:
        """The sweep's process; a new one when the last one died, which then meets the places of its tick again."""
        if self._process is None:
            self._process = self._motion.stand(max(self._tick - bool(self._here), 0))
            self._skip = self._here
        return self._process

    def _note(self, tick: int) -> None:
        self._here = self._here + 1 if tick == self._tick else 1
        self._tick = tick


def _moment(stopped: Stopped, reason: StopReason) -> Moment:
    return Moment(Tick(stopped.tick), InputId(stopped.input), ThreadId(stopped.thread), reason)


def _raised_in(process: ReplayProcess) -> str | None:
    """Type and message of what the line raises inside which the process stands."""
    try:
        said = asked(process, "raising")
        return None if said is None else str(said)
    except LookFailed:
        return None


def _complaint_of(process: ReplayProcess, conditions: list[str]) -> str | None:
    """None if no condition holds; else what to say about one that failed, mostly nothing."""
    try:
        with Looker(process) as looker:
            for condition in conditions:
                holds, error = looker.ask("truth", 0, condition)
                if holds or error:
                    return f"the condition failed: {error}" if error else ""
        return None
    except LookFailed as failed:
        return f"the condition failed: {failed}"
