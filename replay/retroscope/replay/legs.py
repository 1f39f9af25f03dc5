"""Runs of replay processes, cut into legs, so that they can be interrupted, report progress and leave snapshots behind.

`Legs` owns the snapshots. It has no current process and seeks nothing itself: `Motion` does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event

from retroscope.replay.abreast import Leg, Scout
from retroscope.replay.moments import Diverged, ReplayError
from retroscope.replay.process import ProcessDied, ReplayProcess
from retroscope.replay.protocol import (
    ANY_DEPTH,
    ANY_THREAD,
    TO_THE_END,
    Action,
    Marks,
    Reason,
    Stopped,
    TableEntry,
    Want,
    Watched,
)
from retroscope.replay.snapshots import SnapshotStore

LEG_SECONDS = 0.05
"""How long a leg should take: what an interrupt waits at most, as long as no single line takes longer."""
_SMALLEST_LEG = 1 << 12
FIRST_LEG = 1 << 14
_LARGEST_LEG = 1 << 24
_PATIENCE = 2
"""A stretch of ticks in which so many processes died kills every process."""


class Interrupted(Exception):
    """The user wants the motion under way to end."""


class BeyondTheEnd(ReplayError):
    """There is no such tick: the recording ends before."""


@dataclass(frozen=True)
class Search:
    """What a motion looks for; see `Want`."""

    want: int
    max_depth: int = ANY_DEPTH
    thread: int = ANY_THREAD
    conditions: tuple[tuple[int, str], ...] = ()
    """(row of the breakpoint table, expression): what scouts may pass by when it certainly does not hold."""
    watched: Watched | None = None
    """What `Want.WATCH` looks at."""
    marks: Marks | None = None
    """The frames of `Want.MARKED`."""

    @property
    def raises(self) -> bool:
        return bool(self.want & Want.RAISE)


class Legs:
    """`launch` starts a root process at tick 0; it is called again if all processes have died."""

    def __init__(self, launch: Callable[[], ReplayProcess], budget: int | None = None) -> None:
        self._launch = launch
        self.root = launch()
        self.snapshots = SnapshotStore(self.root, budget)
        self.here: Callable[[], int] = lambda: 0
        """The tick at which the user is: snapshots near it, or near where a motion leads to, are worth more."""
        self._spare: ReplayProcess | None = None
        self._leg = FIRST_LEG
        self.table: Sequence[TableEntry] = ()
        self._table_version = 0
        self._deaths: dict[int, int] = {}
        self.interrupted = Event()
        self.end: Stopped | None = None
        """The STOPPED of the end of the run, once a process got there."""
        self.on_leg: Callable[[Stopped], None] = lambda _: None

    def close(self) -> None:
        """Ends the snapshots and what was given back."""
        self.drop_spare()
        self.snapshots.close()

    def set_breakpoints(self, table: Sequence[TableEntry]) -> None:
        self.table = table
        self._table_version += 1

    def stand(self, tick: int) -> ReplayProcess:
        """A process of the caller's own at `tick`, from the nearest snapshot before it."""
        spare = self._spare
        if spare is not None and spare.tick == tick and not spare.over:
            self._spare = None
            return spare
        while True:
            process = self.fork_before(tick)
            try:
                self.advance_to(process, tick)
                return process
            except ProcessDied as died:
                process.close()
                self.mourn(died)
            except BaseException:
                process.kill()
                raise

    def give_back(self, process: ReplayProcess) -> None:
        """Takes over a process that stands where the current one may want to be next."""
        self.drop_spare()
        self._spare = process

    def drop_spare(self) -> None:
        if self._spare is not None:
            self._spare.kill()
            self._spare = None

    def fork_before(self, tick: int) -> ReplayProcess:
        while True:
            snapshot = self.snapshots.at_or_before(tick)
            try:
                return snapshot.fork()
            except ProcessDied:
                self._bury(snapshot)

    def _bury(self, snapshot: ReplayProcess) -> None:
        self.snapshots.discard(snapshot)
        if not self.snapshots.ticks or self.snapshots.ticks[0] > 0:
            self.snapshots.replace_root(self._launch())

    def mourn(self, died: ProcessDied) -> None:
        """A death can be an accident (memory ran out, someone killed it); the same place twice is none."""
        place = died.tick >> 16
        self._deaths[place] = self._deaths.get(place, 0) + 1
        if self._deaths[place] > _PATIENCE:
            raise ReplayError(f"every replay process dies soon after tick {died.tick}") from died

    def advance_to(self, process: ReplayProcess, tick: int) -> None:
        if process.tick < tick:
            stopped = self.run(process, tick, Search(Want.NOTHING), Action.STOP, ())
            if stopped.tick < tick:
                raise BeyondTheEnd(f"the recording ends at tick {stopped.tick}")

    def run(
        self,
        process: ReplayProcess,
        until: int,
        search: Search,
        action: Action,
        legs: list[Leg] | tuple[()],
        raise_here: bool = True,
    ) -> Stopped:
        """Legs up to a match, the end, or `until`; appends them to `legs`. Leaves snapshots on the way."""
        is_near = until != TO_THE_END and not search.conditions
        places = self.snapshots.dense_places(process, until) if is_near else []
        self.prepare(process, search)
        while True:
            if self.interrupted.is_set():
                raise Interrupted
            start = process.tick
            goal = min([until, self._leg_end(start), *(place for place in places if place > start)])
            began = time.monotonic()
            want = search.want | (Want.RAISE_HERE if raise_here and search.raises else 0)
            raise_here = True  # a later leg begins where no one has been
            stopped = process.run(goal, want, search.max_depth, action, search.thread)
            seconds = time.monotonic() - began
            if isinstance(legs, list):
                legs.append(Leg(start, stopped))
            if self._is_final(stopped) or stopped.tick >= until:
                return stopped
            if self.snapshots.at_or_before(goal).tick > start:
                process.begin_way(kept=False)
            elif not search.conditions and (goal in places or self.snapshots.is_thin_place(process)):
                self._leave_snapshot(process, until if is_near else self.here())
            self._adapt_leg(goal - start, seconds)
            self.on_leg(stopped)

    def begin_leg(self, scout: Scout, search: Search) -> None:
        want = search.want | (Want.RAISE_HERE if search.raises else 0)
        scout.start, scout.began = scout.process.tick, time.monotonic()
        scout.goal = min(scout.until, scout.start + self._leg)
        scout.process.begin_run(scout.goal, want, search.max_depth, Action.COLLECT, search.thread)

    def end_leg(self, scout: Scout) -> bool:
        """Whether it was the last one."""
        if self.interrupted.is_set():
            raise Interrupted
        stopped = scout.process.finish_run()
        scout.legs.append(Leg(scout.start, stopped))
        if self._is_final(stopped) or stopped.tick >= scout.until:
            return True
        self._adapt_leg(scout.goal - scout.start, time.monotonic() - scout.began)
        self.on_leg(stopped)
        return False

    def prepare(self, process: ReplayProcess, search: Search) -> None:
        process.set_breakpoints(self.table, self._table_version)
        if search.marks:
            process.mark(search.marks)
        if search.watched:
            process.watch(search.watched)
        if search.conditions:
            process.judge_conditions(search.conditions)

    def _is_final(self, stopped: Stopped) -> bool:
        if stopped.reason in (Reason.DIVERGED, Reason.SEALED):
            raise Diverged(stopped.text)
        if stopped.reason is Reason.END:
            self.end = stopped
        return stopped.reason is not Reason.LIMIT

    def _leg_end(self, tick: int) -> int:
        thin = self.snapshots.next_thin(tick)
        return min(tick + self._leg, thin) if not self.snapshots.has(thin) else tick + self._leg

    def _adapt_leg(self, ticks: int, seconds: float) -> None:
        if seconds < LEG_SECONDS / 2 and ticks >= self._leg:
            self._leg = min(self._leg * 2, _LARGEST_LEG)
        elif seconds > LEG_SECONDS * 2:
            self._leg = max(self._leg // 2, _SMALLEST_LEG)

    def _leave_snapshot(self, process: ReplayProcess, now: int) -> None:
        self.snapshots.add(process.fork(), now)
        process.begin_way(kept=True)
