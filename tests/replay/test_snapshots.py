"""Where snapshots are left and which go when memory is short, with processes that only say what they would take."""

from __future__ import annotations

import itertools
from typing import cast

import pytest
from retroscope.replay import snapshot_memory
from retroscope.replay.process import ReplayProcess, Way
from retroscope.replay.snapshots import FIRST_SPACING, THIN_SECONDS, SnapshotStore

MIB = 1 << 20
STEP = FIRST_SPACING // 8


class Running:
    """Stands at `tick`, a way of so many seconds and pages behind the snapshot before; all it has was written there."""

    def __init__(self, tick: int, seconds: float, pages: int, resident: int = 300 * MIB) -> None:
        self.tick, self._way, self._resident = tick, Way(seconds, pages), resident
        self.is_open = True

    def way(self) -> Way:
        return self._way

    def begin_way(self, kept: bool) -> None:
        self._way = Way(0.0, 0)

    def resident(self) -> int:
        return self._resident

    def memory(self) -> int:
        return 100 * MIB if self.tick else 0

    def close(self) -> None:
        self.is_open = False


def running(tick: int, seconds: float, pages: int) -> ReplayProcess:
    return cast(ReplayProcess, Running(tick, seconds, pages))


def store_of(budget: int, monkeypatch: pytest.MonkeyPatch) -> SnapshotStore:
    monkeypatch.setattr(snapshot_memory, "MEASURE_EVERY", 0.0)
    monkeypatch.setattr(snapshot_memory, "MEASURE_PAUSE", 0.0)
    monkeypatch.setattr(snapshot_memory, "_fault_is_a_page", lambda: True)
    return SnapshotStore(cast(ReplayProcess, Running(0, 0.0, 0, 0)), budget)


def run_through(store: SnapshotStore, start: int, end: int, seconds: float, pages: int) -> int:
    """Leaves a snapshot at each place worth one, as a run does that takes so long and writes so much for every STEP.

    Returns how many it left.
    """
    way, left = 0, 0
    for tick in range(start + STEP, end, STEP):
        way += 1
        process = running(tick, way * seconds, min(way * pages, 100 * MIB // 4096))
        if store.is_thin_place(process) and not store.has(tick):
            store.add(process, end)
            left, way = left + 1, 0
    return left


def test_a_run_that_writes_everywhere_is_not_copied_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_of(1 << 40, monkeypatch)
    assert store.is_thin_place(running(FIRST_SPACING, 0.01, 1000))
    assert store.is_thin_place(running(5, THIN_SECONDS, 1000))
    assert not store.is_thin_place(running(5, 0.01, 0))
    assert not store.is_thin_place(running(FIRST_SPACING, 0.15, 100_000)), "copying takes longer than what led here"
    assert not store.is_thin_place(running(5, THIN_SECONDS, 100_000))
    assert store.is_thin_place(running(5, 0.4, 100_000))
    store.close()


def test_with_little_memory_the_whole_run_is_covered_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for about nine: the longest way between two is near to what nine allow, however the run came there."""
    store = store_of(1200 * MIB, monkeypatch)
    run_through(store, 0, 400 * STEP, 0.1, 25_600)
    for _ in range(3):
        ways = [after - before for before, after in itertools.pairwise(store.ticks)]
        assert 7 <= len(ways) <= 12
        assert max(ways) <= 2.5 * 400 * STEP / 9, [way // STEP for way in ways]
        before = store.ticks
        for start in before[:-1]:  # somebody goes from each to just before the next
            run_through(store, start, min(store.after(start) or 400 * STEP, 400 * STEP), 0.1, 25_600)
        assert len(set(store.ticks) - set(before)) <= 4, "a motion takes from the next what it leaves on its way"
    store.close()


def test_the_longer_the_run_the_fewer_are_left_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_of(1200 * MIB, monkeypatch)
    assert run_through(store, 0, 2000 * STEP, 0.1, 25_600) < 80, "2000 STEPs are 1333 times THIN_SECONDS"
    store.close()
