"""Going to the N-th of all matches in a recording."""

from __future__ import annotations

from retroscope.replay.breakpoints import BreakpointTable
from retroscope.replay.counting import nth
from retroscope.replay.legs import Search
from retroscope.replay.moments import Moment, ReplayError, StopReason, Tick
from retroscope.replay.motion import Motion
from retroscope.replay.stops import Stops


def nth_moment(motion: Motion, stops: Stops, table: BreakpointTable, search: Search, number: int) -> Moment:
    """Moves there; `table` then is the one of the processes. ReplayError if there are not so many."""
    if number < 1:
        raise ReplayError("they are counted from 1")
    tick, seen = nth(motion, table.entries, search, number)
    if tick is None:
        raise ReplayError(too_few(seen, number))
    motion.set_breakpoints(table.entries)
    return stops.raised_at(Tick(tick)) if search.raises else stops.go(Tick(tick), StopReason.BREAKPOINT)


def too_few(seen: int, number: int) -> str:
    """What to say when there are only `seen`."""
    if not seen:
        return "it never happened"
    return f"it happened {'once' if seen == 1 else f'{seen} times'}, not {number} times"
