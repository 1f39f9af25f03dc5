"""Hits of breakpoints out of the index, in the words of `Motion`: what would else be found by running.

Only what the index is exact about: lines and functions without conditions. For ticks that are not indexed the caller
goes on by running.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from retroscope.replay.index import Index
from retroscope.replay.index_facts import Place
from retroscope.replay.legs import Search
from retroscope.replay.protocol import Match, TableEntry, Want


def can_answer(search: Search) -> bool:
    """Whether `search` is for breakpoints alone, none of which has a condition."""
    return search.want & ~Want.VISIBLE == Want.BREAKPOINT and not search.conditions


def hits_before(index: Index, table: Sequence[TableEntry], bound: int) -> Iterator[list[Match]]:
    """The matches of each tick before `bound` that has any, last tick first; NotIndexed where nobody looked."""
    places = [(entry.id, Place.of_row(entry.name, entry.line)) for entry in table]
    while True:
        latest = 0
        for _, place in places:
            latest = index.previous_hit(place, bound, since=latest + 1) or latest
        if not latest:
            return
        yield _matches(index, places, latest)
        bound = latest


def first_hit_after(index: Index, table: Sequence[TableEntry], after: int) -> list[Match]:
    """The matches of the first tick after `after` that has any, empty if none has; NotIndexed where nobody looked."""
    places = [(entry.id, Place.of_row(entry.name, entry.line)) for entry in table]
    ticks = [tick for _, place in places if (tick := index.next_hit(place, after)) is not None]
    return _matches(index, places, min(ticks)) if ticks else []


def _matches(index: Index, places: Sequence[tuple[int, Place]], tick: int) -> list[Match]:
    hit = [row for row, place in places if index.previous_hit(place, tick + 1, since=tick) is not None]
    return [Match(tick, Want.BREAKPOINT, row, 0, 0) for row in hit]
