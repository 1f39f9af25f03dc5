"""The number of a hit: how often the place was hit since the program began, wherever the user comes from.

It is a property of the moment, the same in both directions. A breakpoint with a condition counts the hits at which that
holds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

from retroscope.replay.breakpoints import BreakpointTable
from retroscope.replay.counting import count
from retroscope.replay.hit_conditions import parse_hits
from retroscope.replay.legs import Search
from retroscope.replay.moments import Breakpoint, Tick
from retroscope.replay.motion import Motion
from retroscope.replay.protocol import Want
from retroscope.replay.sweeps import Sweep


class HitNumbers:
    """The numbers of hits that were asked for, each counted from the one before it."""

    def __init__(self, motion: Motion, table: Callable[[], BreakpointTable]) -> None:
        """`table` makes an empty one."""
        self._motion = motion
        self._new_table = table
        self._known: dict[Breakpoint, list[tuple[int, int]]] = {}

    def is_meant(self, each: Breakpoint, tick: Tick) -> bool:
        """Whether a breakpoint that is hit at `tick`, its condition included, means this hit."""
        meant = parse_hits(each.hits) if each.hits is not None else None
        return meant is None or meant(self.number(each, tick))

    def number(self, each: Breakpoint, tick: Tick) -> int:
        """The how many-th hit this is, from 1."""
        known = self._known.setdefault(each, [])
        at = bisect_right(known, (tick, 1 << 62))
        before, hits = known[at - 1] if at else (0, 0)
        if before == tick:
            return hits
        table = self._new_table()
        table.set([each])
        if each.condition is None:
            number = hits + count(self._motion, table.entries, Search(Want.BREAKPOINT), before, tick)
        else:
            with Sweep(self._motion, Tick(before + 1), table, False) as found:
                number = hits + next(n for n, moment in enumerate(found, 1) if moment.tick >= tick)
        known.insert(at, (tick, number))
        return number
