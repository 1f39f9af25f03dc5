"""Getting a replay process to a given tick, and finding places before and after it.

`Motion` owns the current process and knows nothing of users: no conditions, no visible frames, no words.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from retroscope.replay.abreast import Leg, Scout, Stretch, run_abreast, summary
from retroscope.replay.legs import LEG_SECONDS, BeyondTheEnd, Legs, Search
from retroscope.replay.process import ProcessDied, ReplayProcess
from retroscope.replay.protocol import (
    TO_THE_END,
    Action,
    Marks,
    Match,
    Reason,
    Stopped,
    TableEntry,
    Want,
)


def _is_after(match: Match, start: int) -> bool:
    """Whether a run from `start` meets this match: the line there has begun, but what it raises is still to come."""
    return match.tick > start or (match.tick == start and match.kind == Want.RAISE)


class Motion:
    """`launch` starts a root process at tick 0; it is called again if all processes have died."""

    def __init__(self, launch: Callable[[], ReplayProcess], budget: int | None = None) -> None:
        self._legs = Legs(launch, budget)
        self._legs.here = lambda: self.current.tick
        self.snapshots = self._legs.snapshots
        self.interrupted = self._legs.interrupted
        self.warning = self._legs.root.warning
        self.current = self._legs.root.fork()
        self._processors = len(os.sched_getaffinity(0))

    def close(self) -> None:
        self.current.kill()
        self._legs.close()

    @property
    def end(self) -> Stopped | None:
        """The STOPPED of the end of the run, once a process got there."""
        return self._legs.end

    @property
    def bound(self) -> int:
        """The first tick that is not in the past of the current process."""
        return self.current.tick + 1 if self.current.over else self.current.tick

    def report_to(self, on_leg: Callable[[Stopped], None]) -> None:
        """Tells where a motion has come to after each leg."""
        self._legs.on_leg = on_leg

    def set_breakpoints(self, table: Sequence[TableEntry]) -> None:
        self._legs.set_breakpoints(table)

    def stand(self, tick: int) -> ReplayProcess:
        """A process of the caller's own at `tick`, from the nearest snapshot before it."""
        return self._legs.stand(tick)

    def give_back(self, process: ReplayProcess) -> None:
        """Takes over a process that stands where the current one may want to be next."""
        self._legs.give_back(process)

    def to(self, tick: int) -> None:
        """Makes the current process stand at `tick`, before its line runs; raises BeyondTheEnd."""
        here, origin = self.current, self.current.tick
        if here.tick == tick and not here.over and not here.inside_line:
            return
        if self.end is not None and tick > self.end.tick:
            raise BeyondTheEnd(f"the recording ends at tick {self.end.tick}")
        if self._can_go_on_to(tick):
            try:
                self._legs.advance_to(here, tick)
                return
            except ProcessDied as died:
                self._legs.mourn(died)
            except BeyondTheEnd:
                self._replace_current(self._legs.stand(origin))
                raise
        self._replace_current(self._legs.stand(tick))

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
                return self._legs.run(self.current, until, search, Action.STOP, (), raise_here)
            except ProcessDied as died:
                self._legs.mourn(died)
                self._replace_current(self._legs.stand(start if search.marks else max(died.tick, start)))

    def _skip(self, search: Search, until: int, raise_here: bool) -> bool:
        """Moves the current process to just before the first place that a scout finds, which judges conditions itself.

        Returns whether what the line raises at which it then stands is a match.
        """
        here = self.current.tick
        scout = self.current.fork()
        try:
            stopped = self._legs.run(scout, until, search, Action.STOP, (), raise_here)
            inside = stopped.reason is Reason.MATCH and stopped.matches[0].kind != Want.RAISE
            goal = stopped.tick - 1 if inside else stopped.tick
            if goal <= here:
                return raise_here
            self.to(goal)
            if search.marks:
                self.current.mark_as(scout, search.marks)
            return True
        except ProcessDied as died:
            self._legs.mourn(died)
            return raise_here
        finally:
            scout.kill()

    def sweep(
        self, process: ReplayProcess, table: Sequence[TableEntry], search: Search, until: int = TO_THE_END
    ) -> Stopped | None:
        """Runs a process of the caller's own on to the next place of `search`, with a table of its own.

        None when the process died by accident: another one can take its place.
        """
        kept = self._legs.table
        self._legs.set_breakpoints(table)
        try:
            return self._legs.run(process, until, search, Action.STOP, (), raise_here=False)
        except ProcessDied as died:
            self._legs.mourn(died)
            return None
        finally:
            self._legs.set_breakpoints(kept)

    def last_line_of(self, process: ReplayProcess, marks: Marks, until: int) -> Match | None:
        """What became of marked frames while a process of the caller's own ran to `until`."""
        legs: list[Leg] = []
        self._legs.run(process, until, Search(Want.MARKED, marks=marks), Action.COLLECT, legs)
        return summary(legs)

    def tallies(
        self, process: ReplayProcess, table: Sequence[TableEntry], search: Search, until: int
    ) -> list[tuple[int, int, int]]:
        """Runs a process of the caller's own to `until` or the end: (from where, to where, matches) of each stretch.

        What the line raises at which a stretch begins is a match in it, what that raises to which it leads is none.
        """
        kept = self._legs.table
        self._legs.set_breakpoints(table)
        legs: list[Leg] = []
        try:
            self._legs.run(process, until, search, Action.COLLECT, legs)
        finally:
            self._legs.set_breakpoints(kept)
        return [(leg.start, leg.stopped.tick + (leg.stopped.reason is Reason.END), leg.stopped.found) for leg in legs]

    def to_the_end(self) -> Stopped:
        """Runs the current process to the end of the recording, from the snapshot that is nearest to it."""
        if not self.current.over and self.snapshots.at_or_before(TO_THE_END).tick > self.current.tick:
            self._replace_current(self._legs.fork_before(TO_THE_END))
        if self.current.over and self.current.last is not None:
            return self.current.last
        return self.forward(Search(Want.NOTHING))

    def learn_end(self) -> Stopped:
        """How the run ends, found by a process of its own if nobody was there yet."""
        while self.end is None:
            process = self._legs.fork_before(TO_THE_END)
            try:
                self._legs.run(process, TO_THE_END, Search(Want.NOTHING), Action.STOP, ())
            except ProcessDied as died:
                self._legs.mourn(died)
            finally:
                process.kill()
        return self.end

    def inside_raise(self, tick: int, sought: bool = False, uncaught: str = "") -> ReplayProcess | None:
        """A process of the caller's own inside the line of `tick`, where it raises; None when it raises nothing.

        `sought`: where it raises one of the types in the table, if that names any; `uncaught`: where it raises this
        one, for a line may raise several, and what `except*` makes of them is raised by the last of their lines.
        """
        process = self._legs.stand(tick)
        only = [TableEntry(0, 0, uncaught, raises=True)] if uncaught else ()
        process.set_breakpoints(self._legs.table if sought else only, -1)
        stopped = process.run(tick + 1, Want.RAISE | Want.RAISE_HERE)
        if stopped.reason is Reason.MATCH:
            return process
        process.kill()
        return None

    def last_tick_where(self, holds: Callable[[Stopped], bool]) -> int:
        """The last tick at which `holds` is true; it must be true up to some tick and false ever after."""
        while True:
            low, high = self._bracket(holds)
            process = self._legs.stand(low)
            try:
                while high - low > 1:
                    middle = (low + high) // 2
                    scout = process.fork()
                    self._legs.advance_to(scout, middle)
                    if scout.last is not None and holds(scout.last):
                        process.close()
                        process, low = scout, middle
                    else:
                        scout.close()
                        high = middle
                self._legs.give_back(process)
                return low
            except ProcessDied as died:
                process.close()
                self._legs.mourn(died)

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

    def backward(self, search: Search, bound: int) -> Iterator[Match]:
        """All matches before `bound`, last first; of MARKED ones only the last.

        Snapshots are made and go meanwhile; the current process stays.
        """
        return (each for each in self._backward(search, bound) if isinstance(each, Match))

    def backward_by_tick(self, search: Search, bound: int) -> Iterator[list[Match]]:
        """The same, those of one tick together: each as soon as it is known that they are all, so that the way to the
        next, which may be as long as the recording, is gone only for who wants it."""
        group: list[Match] = []
        for each in self._backward(search, bound):
            if group and group[0].tick > (each.tick if isinstance(each, Match) else each):
                yield group
                group = []
            if isinstance(each, Match):
                group.append(each)
        if group:
            yield group

    def _backward(self, search: Search, bound: int) -> Iterator[Match | int]:
        """The matches, and in between ticks: all that lie after such a one were given."""
        # What the line at bound - 1 raises, and which frames begin there, comes before the line at bound.
        until = bound if search.raises or search.marks else bound - 1
        if search.marks:
            yield from self._backward_marked(search, until, bound)
            return
        here, stretches, abreast = bound, self._stretches(until, bound), 1
        while some := list(islice(stretches, abreast)):
            for stretch, legs in zip(some, self._scout_abreast(some, search), strict=True):
                yield from self._matches(legs, stretch.start, stretch.bound, search)
                yield stretch.start
            is_far = here - some[-1].start > self.snapshots.spacing  # nearby, the way leaves snapshots for later
            abreast = self._processors if is_far else 1

    def _backward_marked(self, search: Search, until: int, bound: int) -> Iterator[Match | int]:
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
            yield stretch.start
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
            scout = self._legs.fork_before(start)
            legs: list[Leg] = []
            try:
                self._legs.run(scout, until, search, Action.COLLECT, legs)
            except ProcessDied as died:
                scout.close()
                self._legs.mourn(died)
                continue
            except BaseException:
                scout.kill()
                raise
            if search.conditions:
                scout.kill()
            else:
                self._legs.give_back(scout)
            return legs

    def _scout_abreast(self, stretches: list[Stretch], search: Search) -> list[list[Leg]]:
        """The legs of a throw-away run over each stretch, all run at the same time."""
        scouts: list[Scout] = []
        if len(stretches) > 1:
            try:
                for stretch in stretches:
                    scouts.append(Scout(self._legs.fork_before(stretch.start), stretch.until))
                    self._legs.prepare(scouts[-1].process, search)
                run_abreast(scouts, lambda scout: self._legs.begin_leg(scout, search), self._legs.end_leg, LEG_SECONDS)
                return [scout.legs for scout in scouts]
            except ProcessDied as died:
                self._legs.mourn(died)
            finally:
                for scout in scouts:
                    scout.process.kill()
        return [self._scout(stretch.start, stretch.until, search) for stretch in stretches]

    def _can_go_on_to(self, tick: int) -> bool:
        here = self.current
        return not here.over and here.tick < tick and self.snapshots.at_or_before(tick).tick <= here.tick

    def _replace_current(self, process: ReplayProcess) -> None:
        self.current.kill()
        self.current = process
