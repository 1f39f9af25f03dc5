"""Which frozen processes to keep: thinly over the whole run, densely just before the place where the user is.

A `SnapshotStore` owns its processes. It decides where snapshots are worth their memory and which go first; it never
runs one. The root, at tick 0, stays for ever: everything can be rebuilt from it.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Mapping, Sequence

from retroscope.replay.process import ReplayProcess
from retroscope.replay.snapshot_memory import SnapshotMemory

FIRST_SPACING = 1 << 18
"""Ticks between thin snapshots while the run is short: about 15 ms of replay on 3.12+, 30 ms on 3.11."""
MOST_THIN = 256
"""More thin snapshots than this double the spacing, so that a long run is covered as evenly as a short one: no tick is
further than a hundredth of the run from one. Each takes some hundred kilobytes and what memory has changed since."""
FEWEST_THIN = 64
SMALL = 1 << 26
"""Bytes of a process that is forked as often as MOST_THIN says; larger ones take longer, so fewer in proportion."""
MOST_DENSE = 24
FEWEST_DENSE = 4
DENSE_OFFSETS = tuple(1 << power for power in (24, 21, 18, 15, 12, 9))
"""How far before a target the dense ones stand. The nearest is a few hundred ticks away: cheaper to run than a fork."""
DENSE_OF_LARGE = (1 << 10,)
"""The same in a process larger than SMALL: after each fork what it writes is copied once more, page by page."""
_TICKS_A_SECOND = 5_000_000
"""About so many fast ones are worth as much as a second of slow ones."""
THIN_SECONDS = 0.15
"""How long the way from one thin snapshot to the next may take: ticks of large or slow programs take long."""
COPY_SECONDS = 3e-6
"""About what it costs that a page is copied, which a snapshot makes necessary for each that is written after it."""
_UNNOTICED = 0.02
"""Seconds of copying that are always worth it; the time that a process has used is known to a hundredth only."""
_FEWEST_EVEN = 4
"""No more thin snapshots than this are not thinned out evenly, however short memory is: the nearest ones stay."""


def most_thin(size: int) -> int:
    """How many thin snapshots of a process of so many bytes there may be."""
    return max(min(FEWEST_THIN, MOST_THIN), MOST_THIN * SMALL // max(size, SMALL))


def most_dense(size: int) -> int:
    """How many dense ones: each of a large process, of which the way to it has copied much, is large itself."""
    return max(min(FEWEST_DENSE, MOST_DENSE), MOST_DENSE * SMALL // max(size, SMALL))


class SnapshotStore:
    """Processes by tick. `budget`: bytes of PSS that all of them together may take."""

    def __init__(self, root: ReplayProcess, budget: int | None = None) -> None:
        self._ticks = [root.tick]
        self._processes = [root]
        self._thin: dict[int, float] = {root.tick: 0.0}
        """The seconds from the one before to each."""
        self._memory = SnapshotMemory(budget, root)
        self._made: dict[int, int] = {}
        """Bytes that each may take: what is known of one that has not been measured yet."""
        self.spacing = FIRST_SPACING
        self.seconds = THIN_SECONDS
        self.least = 0.0
        """Seconds that the way from one thin snapshot to the next must take, since memory was too short."""

    def __len__(self) -> int:
        return len(self._ticks)

    def __iter__(self) -> Iterator[ReplayProcess]:
        return iter(tuple(self._processes))

    @property
    def ticks(self) -> tuple[int, ...]:
        return tuple(self._ticks)

    def at_or_before(self, tick: int) -> ReplayProcess:
        """The nearest one not after `tick`, which is not negative."""
        return self._processes[bisect.bisect_right(self._ticks, tick) - 1]

    def after(self, tick: int) -> int | None:
        """The tick of the nearest one after `tick`."""
        index = bisect.bisect_right(self._ticks, tick)
        return self._ticks[index] if index < len(self._ticks) else None

    def backwards(self, tick: int) -> Iterator[ReplayProcess]:
        """Those before `tick`, nearest first. The store may change meanwhile."""
        while tick > self._ticks[0]:
            process = self.at_or_before(tick - 1)
            yield process
            tick = process.tick

    def next_thin(self, tick: int) -> int:
        """The first tick after `tick` at which a thin snapshot belongs."""
        return (tick // self.spacing + 1) * self.spacing

    def dense_places(self, process: ReplayProcess, target: int) -> list[int]:
        """Where, on the way of `process` to `target`, dense snapshots are worth a fork, in order."""
        way = target - process.tick
        if way <= 2 * min(DENSE_OFFSETS):
            return []
        offsets = DENSE_OF_LARGE if process.resident() > SMALL else DENSE_OFFSETS
        return [target - offset for offset in offsets if way > 2 * offset]

    def is_thin_place(self, process: ReplayProcess) -> bool:
        """Whether a thin snapshot belongs where `process` has come to: not before the way took as long as copying what
        was written on it, for a program that writes everywhere would do nothing else."""
        way = process.way()
        if way.pages * COPY_SECONDS > max(way.seconds, _UNNOTICED):
            return False
        return way.seconds >= self.least and (process.tick % self.spacing == 0 or way.seconds >= self.seconds)

    def has(self, tick: int) -> bool:
        index = bisect.bisect_left(self._ticks, tick)
        return index < len(self._ticks) and self._ticks[index] == tick

    def add(self, process: ReplayProcess, now: int) -> None:
        """Takes `process` over, a fork whose `way` says what led here from the snapshot before.

        What is far from `now`, where the user is, goes first when room is short.
        """
        if self.has(process.tick):
            process.close()
            return
        index, size = bisect.bisect_left(self._ticks, process.tick), process.resident()
        self._ticks.insert(index, process.tick)
        self._processes.insert(index, process)
        way = process.way()
        self._made[process.tick] = self._memory.add(size, way.pages)
        if self.is_thin_place(process):
            self._thin[process.tick] = way.seconds
            if len(self._thin) > most_thin(size):
                self._spread()
        process.begin_way(kept=True)
        self._shed(now, size)

    def discard(self, process: ReplayProcess) -> None:
        """Forgets one that died."""
        index = bisect.bisect_left(self._ticks, process.tick)
        if index < len(self._ticks) and self._processes[index] is process:
            self._drop(index)

    def replace_root(self, root: ReplayProcess) -> None:
        """A new root after the old one died, together with all that depended on it or not."""
        self.close()
        self._ticks, self._processes, self._thin = [root.tick], [root], {root.tick: 0.0}
        self._memory = SnapshotMemory(self._memory.given, root)

    def close(self) -> None:
        for process in self._processes:
            process.close()
        self._ticks, self._processes = [], []
        self._thin.clear()
        self._made.clear()
        self._memory.close()

    def _spread(self) -> None:
        """Doubles the spacing and lets those between go."""
        self.spacing *= 2
        self.seconds *= 2
        way = 0.0
        for tick, seconds in sorted(self._thin.items()):
            way += seconds
            if tick % self.spacing and way < self.seconds:
                self._drop(bisect.bisect_left(self._ticks, tick))
            else:
                self._thin[tick], way = way, 0.0

    def _least_gap(self) -> int:
        """The index of the thin snapshot without which the longest way between two is the shortest; from now on none is
        left so soon after another."""
        thin = sorted(self._thin)
        ways = [self._thin[tick] for tick in thin[1:]]
        both = [before + after for before, after in itertools.pairwise(ways)]
        at = min(range(len(both)), key=both.__getitem__)
        self._thin[thin[at + 2]] = both[at]
        self.least = max(self.least, both[at] / 2)
        self.seconds = max(self.seconds, self.least)
        return bisect.bisect_left(self._ticks, thin[at + 1])

    def _shed(self, now: int, size: int) -> None:
        while len(self._ticks) - len(self._thin) > most_dense(size):
            self._drop(self._least_worth(now, self._dense()))
        while len(self._ticks) > 2 and (sizes := self._memory.excess(self._processes, size)):
            while self._memory.most > self._memory.room and len(self._ticks) > 2:
                self._give_up(now, sizes)

    def _give_up(self, now: int, sizes: Mapping[int, int]) -> None:
        """Lets one go because memory is short: of the thin ones evenly, or each motion would leave on its way what it
        takes from the next."""
        dense = self._dense()
        if len(dense) > FEWEST_DENSE:
            index = self._least_worth(now, dense)
        elif len(self._thin) > _FEWEST_EVEN:
            index = self._least_gap()
        else:
            index = self._least_worth(now, range(1, len(self._ticks)))
        tick = self._ticks[index]
        self._memory.gone(sizes.get(tick, self._made.get(tick, 0)))
        self._drop(index)

    def _dense(self) -> list[int]:
        """The indices of those that are not thin."""
        return [index for index, tick in enumerate(self._ticks) if tick not in self._thin]

    def _least_worth(self, now: int, of: Sequence[int]) -> int:
        return min(of, key=lambda index: self._worth(index, now))

    def _worth(self, index: int, now: int) -> float:
        """What a snapshot saves: the gap it splits and the time that led to it, against how far the user has to go to
        need it."""
        before = self._ticks[index - 1] if index else 0
        after = self._ticks[index + 1] if index + 1 < len(self._ticks) else max(now, self._ticks[index]) + 1
        slow = self._thin.get(self._ticks[index], 0.0) * _TICKS_A_SECOND
        return (after - before + slow) / (abs(now - self._ticks[index]) + 1)

    def _drop(self, index: int) -> None:
        tick = self._ticks.pop(index)
        self._processes.pop(index).close()
        self._thin.pop(tick, None)
        self._made.pop(tick, None)
