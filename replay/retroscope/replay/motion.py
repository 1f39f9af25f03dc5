"""Getting a replay process to a given tick, and finding places before and after it.

`Motion` owns the current process and the snapshots and knows nothing of users: no conditions, no visible frames, no
words. Long runs are cut into legs, so that they can be interrupted, report progress and leave snapshots behind.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from threading import Event

from retroscope.replay.abreast import Leg, Scout, Stretch, run_abreast, summary
from retroscope.replay.moments import Diverged, ReplayError
from retroscope.replay.process import ProcessDied, ReplayProcess
from retroscope.replay.protocol import (
    ANY_DEPTH,
    ANY_THREAD,
    TO_THE_END,
    Action,
    Marks,
    Match,
    Reason,
    Stopped,
    TableEntry,
    Want,
)
from retroscope.replay.snapshots import SnapshotStore

_LEG_SECONDS = 0.05
"""How long a leg should take: what an interrupt waits at most, as long as no single line takes longer."""
_SMALLEST_LEG = 1 << 12
FIRST_LEG = 1 << 18
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
    watched: tuple[tuple[int, int], ...] = ()
    """(address, size) of the memory that `Want.WATCH` compares."""
    marks: Marks | None = None
    """The frames of `Want.MARKED`."""

    @property
    def raises(self) -> bool:
        return bool(self.want & Want.RAISE)


def _is_after(match: Match, start: int) -> bool:
    """Whether a run from `start` meets this match: the line there has begun, but what it raises is still to come."""
    return match.tick > start or (match.tick == start and match.kind == Want.RAISE)


class Motion:
    """`launch` starts a root process at tick 0; it is called again if all processes have died."""

    def __init__(self, launch: Callable[[], ReplayProcess], budget: int | None = None) -> None:
        self._launch = launch
        root = launch()
        self.snapshots = SnapshotStore(root, budget)
        self.warning = root.warning
        self.current = root.fork()
        self._spare: ReplayProcess | None = None
        self._leg = FIRST_LEG
        self._table: Sequence[TableEntry] = ()
        self._table_version = 0
        self._deaths: dict[int, int] = {}
        self._processors = len(os.sched_getaffinity(0))
        self.interrupted = Event()
        self.end: Stopped | None = None
        """The STOPPED of the end of the run, once a process got there."""
        self.on_leg: Callable[[Stopped], None] = lambda _: None

    def close(self) -> None:
        self._drop_spare()
        self.current.kill()
        self.snapshots.close()

    @property
    def bound(self) -> int:
        """The first tick that is not in the past of the current process."""
        return self.current.tick + 1 if self.current.over else self.current.tick

    def set_breakpoints(self, table: Sequence[TableEntry]) -> None:
        self._table = table
        self._table_version += 1

    def to(self, tick: int) -> None:
        """Makes the current process stand at `tick`, before its line runs; raises BeyondTheEnd."""
        here, origin = self.current, self.current.tick
        if here.tick == tick and not here.over and not here.inside_line:
            return
        if self.end is not None and tick > self.end.tick:
            raise BeyondTheEnd(f"the recording ends at tick {self.end.tick}")
        if self._can_go_on_to(tick):
            try:
                self._advance_to(here, tick)
                return
            except ProcessDied as died:
                self._mourn(died)
            except BeyondTheEnd:
                self._replace_current(self.stand(origin))
                raise
        self._replace_current(self.stand(tick))

    def stand(self, tick: int) -> ReplayProcess:
        """A process of the caller's own at `tick`, from the nearest snapshot before it."""
        spare = self._spare
        if spare is not None and spare.tick == tick and not spare.over:
            self._spare = None
            return spare
        while True:
            process = self._fork_before(tick)
            try:
                self._advance_to(process, tick)
                return process
            except ProcessDied as died:
                process.close()
                self._mourn(died)
            except BaseException:
                process.kill()
                raise

    def forward(self, search: Search, until: int = TO_THE_END, raise_here: bool = True) -> Stopped:
        """Runs the current process on to the first match, or to `until`. After a RAISE it stands inside its line.

        `raise_here`: whether what the line raises at which it stands is a match too.
        """
        if search.conditions:
            raise_here = self._skip(search, until, raise_here)
            search = replace(search, conditions=())
        while True:
            start = self.current.tick
            try:
                return self._run(self.current, until, search, Action.STOP, (), raise_here)
            except ProcessDied as died:
                self._mourn(died)
                self._replace_current(self.stand(start if search.marks else max(died.tick, start)))

    def _skip(self, search: Search, until: int, raise_here: bool) -> bool:
        """Moves the current process to just before the first place that a scout finds, which judges conditions itself.

        Returns whether what the line raises at which it then stands is a match.
        """
        here = self.current.tick
        scout = self.current.fork()
        try:
            stopped = self._run(scout, until, search, Action.STOP, (), raise_here)
            inside = stopped.reason is Reason.MATCH and stopped.matches[0].kind != Want.RAISE
            goal = stopped.tick - 1 if inside else stopped.tick
            if goal <= here:
                return raise_here
            self.to(goal)
            if search.marks:
                self.current.mark_as(scout, search.marks)
            return True
        except ProcessDied as died:
            self._mourn(died)
            return raise_here
        finally:
            scout.kill()

    def sweep(
        self, process: ReplayProcess, table: Sequence[TableEntry], search: Search, until: int = TO_THE_END
    ) -> Stopped | None:
        """Runs a process of the caller's own on to the next place of `search`, with a table of its own.

        None when the process died by accident: another one can take its place.
        """
        kept = self._table
        self.set_breakpoints(table)
        try:
            return self._run(process, until, search, Action.STOP, (), raise_here=False)
        except ProcessDied as died:
            self._mourn(died)
            return None
        finally:
            self.set_breakpoints(kept)

    def tallies(
        self, process: ReplayProcess, table: Sequence[TableEntry], search: Search, until: int
    ) -> list[tuple[int, int, int]]:
        """Runs a process of the caller's own to `until` or the end: (from where, to where, matches) of each stretch.

        What the line raises at which a stretch begins is a match in it, what that raises to which it leads is none.
        """
        kept = self._table
        self.set_breakpoints(table)
        legs: list[Leg] = []
        try:
            self._run(process, until, search, Action.COLLECT, legs)
        finally:
            self.set_breakpoints(kept)
        return [(leg.start, leg.stopped.tick + (leg.stopped.reason is Reason.END), leg.stopped.found) for leg in legs]

    def to_the_end(self) -> Stopped:
        """Runs the current process to the end of the recording, from the snapshot that is nearest to it."""
        if not self.current.over and self.snapshots.at_or_before(TO_THE_END).tick > self.current.tick:
            self._replace_current(self._fork_before(TO_THE_END))
        if self.current.over and self.current.last is not None:
            return self.current.last
        return self.forward(Search(Want.NOTHING))

    def learn_end(self) -> Stopped:
        """How the run ends, found by a process of its own if nobody was there yet."""
        while self.end is None:
            process = self._fork_before(TO_THE_END)
            try:
                self._run(process, TO_THE_END, Search(Want.NOTHING), Action.STOP, ())
            except ProcessDied as died:
                self._mourn(died)
            finally:
                process.kill()
        return self.end

    def inside_raise(self, tick: int, sought: bool = False) -> ReplayProcess | None:
        """A process of the caller's own inside the line of `tick`, where it raises; None when it raises nothing.

        `sought`: where it raises one of the types in the table, if that names any.
        """
        process = self.stand(tick)
        process.set_breakpoints(self._table if sought else (), -1)
        stopped = process.run(tick + 1, Want.RAISE | Want.RAISE_HERE)
        if stopped.reason is Reason.MATCH:
            return process
        process.kill()
        return None

    def last_tick_where(self, holds: Callable[[Stopped], bool]) -> int:
        """The last tick at which `holds` is true; it must be true up to some tick and false ever after."""
        while True:
            low, high = self._bracket(holds)
            process = self.stand(low)
            try:
                while high - low > 1:
                    middle = (low + high) // 2
                    scout = process.fork()
                    self._advance_to(scout, middle)
                    if scout.last is not None and holds(scout.last):
                        process.close()
                        process, low = scout, middle
                    else:
                        scout.close()
                        high = middle
                self.give_back(process)
                return low
            except ProcessDied as died:
                process.close()
                self._mourn(died)

    def _bracket(self, holds: Callable[[Stopped], bool]) -> tuple[int, int]:
        """(the last snapshot at which it is true, the next one or the first tick that there is not)."""
        true = [process.tick for process in self.snapshots if process.last is not None and holds(process.last)]
        low = max(true, default=0)
        high = self.snapshots.after(low)
        if high is None:
            end = self.learn_end()
            high = self.snapshots.after(low) or end.tick + 1
            if high <= end.tick:
                return self._bracket(holds)
        return low, high

    def give_back(self, process: ReplayProcess) -> None:
        """Takes over a process that stands where the current one may want to be next."""
        self._drop_spare()
        self._spare = process

    def backward(self, search: Search, bound: int) -> Iterator[Match]:
        """All matches before `bound`, last first; of MARKED ones only the last.

        Snapshots are made and go meanwhile; the current process stays.
        """
        # What the line at bound - 1 raises, and which frames begin there, comes before the line at bound.
        until = bound if search.raises or search.marks else bound - 1
        if search.marks:
            yield from self._backward_marked(search, until, bound)
            return
        here, stretches, abreast = bound, self._stretches(until, bound), 1
        while some := list(islice(stretches, abreast)):
            for stretch, legs in zip(some, self._scout_abreast(some, search), strict=True):
                yield from self._matches(legs, stretch.start, stretch.bound, search)
            is_far = here - some[-1].start > self.snapshots.spacing  # nearby, the way leaves snapshots for later
            abreast = self._processors if is_far else 1

    def _backward_marked(self, search: Search, until: int, bound: int) -> Iterator[Match]:
        assert search.marks is not None
        for stretch in self._stretches(until, bound):
            search = replace(search, marks=replace(search.marks, before=stretch.bound))
            legs = self._scout(stretch.start, stretch.until, search)
            found = summary(legs)
            for match in self._matches(legs, stretch.start, stretch.bound, search):
                if found is not None and match.tick <= found.tick:
                    yield found
                    found = None
                yield match
            if found is not None and found.tick:
                yield found
            if found is not None and search.marks:
                search = replace(search, marks=search.marks.further(found))

    def _stretches(self, until: int, bound: int) -> Iterator[Stretch]:
        """From snapshot to snapshot back to the beginning, the last one first."""
        for snapshot in self.snapshots.backwards(bound):
            yield Stretch(snapshot.tick, until, bound)
            until, bound = snapshot.tick, snapshot.tick + 1

    def _matches(self, legs: list[Leg], start: int, bound: int, search: Search) -> Iterator[Match]:
        """What a run from tick `start` found that lies before `bound`, last first."""
        for leg in reversed(legs):
            reported = [match for match in leg.stopped.matches if match.kind != Want.MARKED]
            matches = [match for match in reported if match.tick < bound and _is_after(match, start)]
            yield from reversed(matches)
            if leg.stopped.found > len(reported) and matches:
                yield from self._older(max(start, leg.start), matches, search)

    def _older(self, start: int, seen: list[Match], search: Search) -> Iterator[Match]:
        """What the report of a leg had no room for. Several can match at one tick, so the runs overlap by it."""
        oldest = seen[0].tick
        search = replace(search, want=search.want & ~Want.MARKED, marks=None)
        for match in self._matches(self._scout(start, oldest, search), start, oldest + 1, search):
            if match not in seen:
                yield match

    def _scout(self, start: int, until: int, search: Search) -> list[Leg]:
        """The legs of a throw-away run to `until` from the nearest snapshot that is not after `start`."""
        while True:
            scout = self._fork_before(start)
            legs: list[Leg] = []
            try:
                self._run(scout, until, search, Action.COLLECT, legs)
            except ProcessDied as died:
                scout.close()
                self._mourn(died)
                continue
            except BaseException:
                scout.kill()
                raise
            if search.conditions:
                scout.kill()
            else:
                self.give_back(scout)
            return legs

    def _scout_abreast(self, stretches: list[Stretch], search: Search) -> list[list[Leg]]:
        """The legs of a throw-away run over each stretch, all run at the same time."""
        scouts: list[Scout] = []
        if len(stretches) > 1:
            try:
                for stretch in stretches:
                    scouts.append(Scout(self._fork_before(stretch.start), stretch.until))
                    self._prepare(scouts[-1].process, search)
                run_abreast(scouts, lambda scout: self._begin_leg(scout, search), self._end_leg, _LEG_SECONDS)
                return [scout.legs for scout in scouts]
            except ProcessDied as died:
                self._mourn(died)
            finally:
                for scout in scouts:
                    scout.process.kill()
        return [self._scout(stretch.start, stretch.until, search) for stretch in stretches]

    def _begin_leg(self, scout: Scout, search: Search) -> None:
        want = search.want | (Want.RAISE_HERE if search.raises else 0)
        scout.start, scout.began = scout.process.tick, time.monotonic()
        scout.goal = min(scout.until, scout.start + self._leg)
        scout.process.begin_run(scout.goal, want, search.max_depth, Action.COLLECT, search.thread)

    def _end_leg(self, scout: Scout) -> bool:
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

    def _prepare(self, process: ReplayProcess, search: Search) -> None:
        process.set_breakpoints(self._table, self._table_version)
        if search.marks:
            process.mark(search.marks)
        if search.watched:
            process.watch(search.watched)
        if search.conditions:
            process.judge_conditions(search.conditions)

    def _advance_to(self, process: ReplayProcess, tick: int) -> None:
        if process.tick < tick:
            stopped = self._run(process, tick, Search(Want.NOTHING), Action.STOP, ())
            if stopped.tick < tick:
                raise BeyondTheEnd(f"the recording ends at tick {stopped.tick}")

    def _run(
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
        places = self.snapshots.dense_places(process.tick, until) if is_near else []
        self._prepare(process, search)
        while True:
            if self.interrupted.is_set():
                raise Interrupted
            start = process.tick
            goal = min([until, self._leg_end(start), *(place for place in places if place > start)])
            began = time.monotonic()
            want = search.want | (Want.RAISE_HERE if raise_here and search.raises else 0)
            raise_here = True  # a later leg begins where no one has been
            stopped = process.run(goal, want, search.max_depth, action, search.thread)
            if isinstance(legs, list):
                legs.append(Leg(start, stopped))
            if self._is_final(stopped) or stopped.tick >= until:
                return stopped
            if not search.conditions and (goal in places or goal == self.snapshots.next_thin(start)):
                self._leave_snapshot(process)
            self._adapt_leg(goal - start, time.monotonic() - began)
            self.on_leg(stopped)

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
        if seconds < _LEG_SECONDS / 2 and ticks >= self._leg:
            self._leg = min(self._leg * 2, _LARGEST_LEG)
        elif seconds > _LEG_SECONDS * 2:
            self._leg = max(self._leg // 2, _SMALLEST_LEG)

    def _leave_snapshot(self, process: ReplayProcess) -> None:
        if not self.snapshots.has(process.tick):
            self.snapshots.add(process.fork(), self.current.tick)

    def _can_go_on_to(self, tick: int) -> bool:
        here = self.current
        return not here.over and here.tick < tick and self.snapshots.at_or_before(tick).tick <= here.tick

    def _fork_before(self, tick: int) -> ReplayProcess:
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

    def _mourn(self, died: ProcessDied) -> None:
        """A death can be an accident (memory ran out, someone killed it); the same place twice is none."""
        place = died.tick >> 16
        self._deaths[place] = self._deaths.get(place, 0) + 1
        if self._deaths[place] > _PATIENCE:
            raise ReplayError(f"every replay process dies soon after tick {died.tick}") from died

    def _replace_current(self, process: ReplayProcess) -> None:
        self.current.kill()
        self.current = process

    def _drop_spare(self) -> None:
        if self._spare is not None:
            self._spare.kill()
            self._spare = None
