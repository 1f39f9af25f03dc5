"""Motion against a model: random runs and random walks, compared with brute force over the full list of ticks."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from retroscope.replay import legs as legs_module
from retroscope.replay import snapshots as snapshots_module
from retroscope.replay.legs import BeyondTheEnd, Interrupted, Search
from retroscope.replay.motion import Motion
from retroscope.replay.protocol import Match, Reason, TableEntry, Want

from tests.replay.fake_process import Line, Run, launch


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """So small that a run of some hundred ticks has many legs and snapshots."""
    monkeypatch.setattr(snapshots_module, "FIRST_SPACING", 16)
    monkeypatch.setattr(snapshots_module, "MOST_THIN", 6)
    monkeypatch.setattr(snapshots_module, "MOST_DENSE", 6)
    monkeypatch.setattr(snapshots_module, "DENSE_OFFSETS", (768, 96, 12, 2))
    monkeypatch.setattr(legs_module, "FIRST_LEG", 8)
    monkeypatch.setattr(legs_module, "_SMALLEST_LEG", 4)


lines = st.builds(
    Line,
    path=st.sampled_from(["/app.py", "/lib.py"]),
    line=st.integers(1, 5),
    depth=st.integers(1, 4),
    visible=st.booleans(),
    raises=st.integers(0, 9).map(lambda n: n == 0),
    inputs=st.integers(0, 2),
    thread=st.just(1),
)
runs = st.lists(lines, min_size=1, max_size=300).map(lambda body: Run([Line(inputs=3), *body]))
searches = st.builds(
    Search,
    st.sampled_from([Want.LINE, Want.LINE | Want.VISIBLE, Want.SHALLOW, Want.BREAKPOINT, Want.RAISE])
    .flatmap(lambda w: st.sampled_from([w, w | Want.RAISE, w | Want.BREAKPOINT, w | Want.VISIBLE])),
    st.integers(0, 4),
)  # fmt: skip
TABLE = [TableEntry(7, 3, "/app.py"), TableEntry(8, 3, "/lib.py")]


def everything(run: Run, search: Search) -> list[Match]:
    """All matches of the run in order, straight from the list."""
    found = []
    for tick in range(1, run.last + 1):
        found += run.line_matches(tick, search.want, search.max_depth, search.thread, TABLE)
        found += run.raise_matches(tick, search.want)
    return found


@settings(deadline=None, max_examples=60)
@given(runs, st.data())
def test_walks_find_what_brute_force_finds(run: Run, data: st.DataObject) -> None:
    motion = Motion(lambda: launch(run))
    motion.set_breakpoints(TABLE)
    try:
        for _ in range(data.draw(st.integers(1, 8), label="motions")):
            target = data.draw(st.integers(1, run.last), label="goto")
            motion.to(target)
            assert (motion.current.tick, motion.current.over) == (target, False)
            search = data.draw(searches, label="search")
            expected = everything(run, search)
            if data.draw(st.booleans(), label="backward"):
                assert list(motion.backward(search, target)) == [m for m in reversed(expected) if m.tick < target]
                assert motion.current.tick == target
            else:
                later = [m for m in expected if m.tick > target or (m.tick == target and m.kind == Want.RAISE)]
                stopped = motion.forward(search)
                assert stopped.reason is (Reason.MATCH if later else Reason.END)
                if later:
                    assert stopped.matches[0] == later[0]
                else:
                    assert stopped.tick == run.last
    finally:
        motion.close()


@settings(deadline=None, max_examples=20)
@given(runs)
def test_from_the_end_the_last_line_is_past(run: Run) -> None:
    motion = Motion(lambda: launch(run))
    try:
        motion.to_the_end()
        assert motion.bound == run.last + 1
        assert next(motion.backward(Search(Want.LINE), motion.bound)).tick == run.last
    finally:
        motion.close()


def test_more_matches_than_a_report_holds() -> None:
    run = Run([Line()] + [Line(line=3, raises=True)] * 500)
    motion = Motion(lambda: launch(run))
    motion.set_breakpoints(TABLE)
    legs_module._SMALLEST_LEG = 1000
    motion._legs._leg = 1000
    motion.snapshots.spacing = 100_000
    search = Search(Want.BREAKPOINT | Want.RAISE)
    motion.to_the_end()
    assert list(motion.backward(search, motion.bound)) == list(reversed(everything(run, search)))
    motion.close()


def test_the_last_hit_is_found_without_going_on_to_the_one_before() -> None:
    """Of a line that runs twice, and raises there: the first time long before."""
    lines = [Line()] * 3000
    lines[5] = lines[2990] = Line(line=3, raises=True)
    run = Run(lines)
    motion = Motion(lambda: launch(run))
    motion.set_breakpoints(TABLE)
    motion.to_the_end()
    ran = run.ticks_run
    groups = motion.backward_by_tick(Search(Want.BREAKPOINT | Want.RAISE), motion.bound)
    assert [(match.tick, match.kind) for match in next(groups)] == [(2990, Want.RAISE), (2990, Want.BREAKPOINT)]
    assert run.ticks_run - ran < 500, "it went on to the one before"
    assert [(match.tick, match.kind) for match in next(groups)] == [(5, Want.RAISE), (5, Want.BREAKPOINT)]
    assert next(groups, None) is None
    motion.close()


def test_what_happens_at_the_tick_of_a_snapshot_is_not_taken_apart() -> None:
    """The line of that tick begins before the snapshot and raises after it."""
    run = Run([Line()] + [Line(line=3, raises=True)] * 300)
    motion = Motion(lambda: launch(run))
    motion.set_breakpoints(TABLE)
    motion.to_the_end()
    search = Search(Want.BREAKPOINT | Want.RAISE)
    groups = list(motion.backward_by_tick(search, motion.bound))
    assert [group[0].tick for group in groups] == list(range(300, 0, -1))
    assert [match for group in groups for match in group] == list(reversed(everything(run, search)))
    motion.close()


def test_a_tick_beyond_the_end_is_refused_and_nothing_moves() -> None:
    run = Run([Line()] * 50)
    motion = Motion(lambda: launch(run))
    with pytest.raises(BeyondTheEnd, match="ends at tick 49"):
        motion.stand(50)
    assert motion.current.tick == 0
    motion.to(7)
    for _ in range(2):
        with pytest.raises(BeyondTheEnd, match="ends at tick 49"):
            motion.to(50)
        assert (motion.current.tick, motion.current.over) == (7, False)
    motion.close()


def test_a_dead_snapshot_is_noticed_and_rebuilt() -> None:
    run = Run([Line()] * 200)
    motion = Motion(lambda: launch(run))
    motion.to(150)
    for process in list(motion.snapshots._processes):
        process._control.shutdown(2)  # as if the process had been killed
    motion.to(90)
    assert motion.current.tick == 90
    motion.current._control.shutdown(2)
    motion.to(95)
    assert motion.current.tick == 95
    motion.close()


def test_an_interrupt_ends_a_search_and_leaves_the_place() -> None:
    run = Run([Line()] * 2000)
    motion = Motion(lambda: launch(run))
    motion.to(1900)
    motion.snapshots.spacing = 100_000
    motion.interrupted.set()
    with pytest.raises(Interrupted):
        list(motion.backward(Search(Want.BREAKPOINT), 1900))
    assert motion.current.tick == 1900
    motion.close()


def test_the_number_of_snapshots_is_bounded_and_near_steps_are_cheap() -> None:
    run = Run([Line()] * 5000)
    motion = Motion(lambda: launch(run))
    motion.to_the_end()
    assert len(motion.snapshots) <= 6 + 6 + 1
    motion.to(4000)
    next(motion.backward(Search(Want.LINE), 4000))
    before = run.ticks_run
    for tick in range(3999, 3980, -1):
        assert next(motion.backward(Search(Want.LINE), tick + 1)).tick == tick
        motion.to(tick)
    assert run.ticks_run - before < 19 * 40
    motion.close()


def test_large_processes_leave_fewer_snapshots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots_module, "MOST_THIN", 256)
    found = [snapshots_module.most_thin(size << 20) for size in (0, 20, 64, 128, 256, 4096)]
    assert found == [256, 256, 256, 128, 64, 64]


def test_close_leaves_no_process() -> None:
    run = Run([Line()] * 500)
    motion = Motion(lambda: launch(run))
    motion.to(400)
    list(motion.backward(Search(Want.BREAKPOINT), 400))
    motion.close()
    for _ in range(100):
        if not run.living:
            break
        time.sleep(0.02)
    assert not run.living
