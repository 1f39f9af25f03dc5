"""Counting matches without stopping at each: how many there are in a stretch, and where the N-th of all is.

A run reports how many matches it found, so the N-th is fenced in by halving. `table` and `search` are as for a motion;
a search with conditions cannot be counted so.
"""

from __future__ import annotations

from collections.abc import Sequence

from retroscope.replay.legs import Search
from retroscope.replay.motion import Motion
from retroscope.replay.process import ReplayProcess
from retroscope.replay.protocol import TO_THE_END, TableEntry


def count(motion: Motion, table: Sequence[TableEntry], search: Search, after: int, until: int) -> int:
    """The matches behind tick `after`, up to tick `until`. Not for raises."""
    process = motion.stand(after)
    try:
        return _total(motion, process, table, search, until)
    finally:
        process.kill()


def nth(motion: Motion, table: Sequence[TableEntry], search: Search, number: int) -> tuple[int | None, int]:
    """(tick of the match with this number from 1, how many there are up to it); without such a one (None, all)."""
    process = motion.stand(0)
    try:
        stretches = motion.tallies(process, table, search, TO_THE_END)
    finally:
        process.kill()
    seen = 0
    for start, end, found in stretches:
        if seen + found >= number:
            end = _fence_in(motion, table, search, number - seen, start, end)
            return (end - 1 if search.raises else end), number
        seen += found
    return None, seen


def _fence_in(motion: Motion, table: Sequence[TableEntry], search: Search, number: int, low: int, high: int) -> int:
    """The first tick up to which a run from `low` finds so many; it is not behind `high`."""
    process = motion.stand(low)
    try:
        while high - low > 1:
            middle = (low + high) // 2
            scout = process.fork()
            try:
                found = _total(motion, scout, table, search, middle)
            except BaseException:
                scout.kill()
                raise
            if found >= number:
                high = middle
                scout.kill()
            else:
                low, number = middle, number - found
                process.kill()
                process = scout
        return high
    finally:
        process.kill()


def _total(motion: Motion, process: ReplayProcess, table: Sequence[TableEntry], search: Search, until: int) -> int:
    return sum(found for _, _, found in motion.tallies(process, table, search, until))
