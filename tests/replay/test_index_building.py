"""The builder and the queries against a model: made-up runs whose list of ticks is known, and blocks of a test double.

The trace file, the pipes, the scout and the observers are real; only the replay processes are not.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from retroscope.replay import index as index_module
from retroscope.replay import index_building
from retroscope.replay.index import Index, NotIndexed, open_index_of
from retroscope.replay.index_building import Built, IndexBuilder
from retroscope.replay.index_facts import Place
from retroscope.replay.indexed import first_hit_after, hits_before
from retroscope.replay.process import ReplayProcess
from retroscope.replay.protocol import Match, TableEntry, Want
from retroscope.replay.recording import Recording
from retroscope.trace.index_writer import delete_index

from tests.replay import fake_blocks
from tests.replay.fake_process import Line, Run, launch
from tests.replay.test_motion import runs
from tests.trace.making import make_trace

TABLE = [TableEntry(7, 3, "/app.py"), TableEntry(8, 3, "/lib.py"), TableEntry(9, 2, "/app.py"), TableEntry(4, 0, "f")]
MODELS = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Dies(Exception):
    """The builder is ended here."""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recording]:
    path = tmp_path_factory.mktemp("indexed") / "trace.db"
    make_trace(path)
    recording = Recording(str(path))
    yield recording
    recording.close()


@dataclass
class Builder:
    """Builds indexes of made-up runs into one trace; `run` is the one that the next is of."""

    recording: Recording
    run: Run

    def build(self, workers: int, segment: int, fuel: int = 1 << 30, rebuild: bool = False) -> Built:
        """`fuel`: it dies when so many segments are stored."""
        stored = itertools.count(1)

        def tell(_: object) -> None:
            if next(stored) > fuel:
                raise Dies

        builder = IndexBuilder(self.recording, workers=workers, segment=segment, on_progress=tell)
        return builder.build(rebuild)

    def index(self) -> Index:
        index = open_index_of(self.recording)
        assert index is not None
        return index

    def launcher_of(self, _: Recording) -> tuple[Callable[[], ReplayProcess], Callable[[], None]]:
        return (lambda: launch(self.run)), lambda: None


@pytest.fixture
def builder(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> Builder:
    builder = Builder(recording, Run([Line()]))
    double = fake_blocks
    monkeypatch.setattr(index_building, "launcher_of", builder.launcher_of)
    monkeypatch.setattr(index_building, "_core", double)
    monkeypatch.setattr(index_module, "_core", double)
    return builder


def hits(run: Run, table: list[TableEntry]) -> list[tuple[int, set[int]]]:
    """(tick, rows that are hit), by looking at every tick."""
    found = []
    for tick in range(1, run.last + 1):
        rows = {match.detail for match in run.line_matches(tick, Want.BREAKPOINT, 0, 0, table)}
        if rows:
            found.append((tick, rows))
    return found


def seen(matches: list[Match]) -> tuple[int, set[int]]:
    assert {match.kind for match in matches} == {Want.BREAKPOINT}
    (tick,) = {match.tick for match in matches}
    return tick, {match.detail for match in matches}


def check(index: Index, run: Run) -> None:
    """Every answer is that of looking at every tick."""
    expected = hits(run, TABLE)
    for tick in {1, 2, run.last // 2 + 1, run.last, run.last + 1}:
        before = [seen(matches) for matches in hits_before(index, TABLE, tick)]
        assert before == [each for each in reversed(expected) if each[0] < tick]
        after = first_hit_after(index, TABLE, tick)
        assert ([seen(after)] if after else []) == [each for each in expected if each[0] > tick][:1]
    for entry in TABLE:
        place = Place.of_row(entry.name, entry.line)
        ticks = [tick for tick, rows in expected if entry.id in rows]
        assert list(index.hits(place)) == ticks
        assert index.count(place) == len(ticks)
        assert index.nth_hit(place, 1) == (ticks[0] if ticks else None)
        assert index.nth_hit(place, len(ticks)) == (ticks[-1] if ticks else None)
        assert index.nth_hit(place, len(ticks) + 1) is None


@MODELS
@given(runs, st.integers(1, 3), st.sampled_from([1, 10, 64, 1000]))
def test_every_hit_is_found(builder: Builder, run: Run, workers: int, segment: int) -> None:
    builder.run = run
    built = builder.build(workers, segment, rebuild=True)
    assert (built.complete, built.ticks, built.stopped) == (True, run.last, None)
    index = builder.index()
    assert [entry.first for entry in index.entries][:1] == ([1] if run.last else [])
    check(index, run)
    index.close()
    assert run.living == set() or wait_until_gone(run)


def wait_until_gone(run: Run) -> bool:
    import time

    until = time.monotonic() + 5
    while run.living and time.monotonic() < until:
        time.sleep(0.01)
    return not run.living


@MODELS
@given(runs, st.integers(1, 3), st.sampled_from([5, 20]), st.lists(st.integers(1, 6), min_size=1, max_size=4))
def test_what_was_ended_is_taken_up_again(
    builder: Builder, run: Run, workers: int, segment: int, fuels: list[int]
) -> None:
    builder.run = run
    rebuild, ticks = True, 0
    for fuel in fuels:
        try:
            built = builder.build(workers, segment, fuel, rebuild)
            assert built.complete
        except Dies:
            pass
        if (index := open_index_of(builder.recording)) is None:
            continue  # it was ended before anything was stored
        rebuild = False
        assert index.ticks >= ticks
        ticks = index.ticks
        check_part(index, run)
        index.close()
    assert builder.build(workers, segment).complete
    again = builder.build(workers, segment)
    assert (again.complete, again.again, again.ticks) == (True, True, run.last)
    index = builder.index()
    check(index, run)
    index.close()


def check_part(index: Index, run: Run) -> None:
    """An index that is not complete gives right answers, or says that it does not know."""
    expected = hits(run, TABLE)
    for bound in (run.last + 1, run.last // 2 + 1):
        found = []
        try:
            for matches in hits_before(index, TABLE, bound):
                found.append(seen(matches))
        except NotIndexed:
            assert index.ticks < run.last
            assert found == [each for each in reversed(expected) if each[0] < bound][: len(found)]
        else:
            assert found == [each for each in reversed(expected) if each[0] < bound]
        try:
            after = first_hit_after(index, TABLE, bound // 2)
        except NotIndexed:
            continue
        assert ([seen(after)] if after else []) == [each for each in expected if each[0] > bound // 2][:1]


def test_another_kind_of_index_is_made_anew(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    builder.run = Run([Line()] * 50)
    builder.build(2, 10, rebuild=True)
    assert builder.build(2, 10).again
    built = IndexBuilder(builder.recording, all_code=True).build()
    assert not built.again
    index = builder.index()
    assert index.all_code
    assert index.made_by_this_core()
    monkeypatch.setattr(index_building, "core_fingerprint", lambda: "another")
    monkeypatch.setattr(index_module, "core_fingerprint", lambda: "another")
    assert not index.made_by_this_core()
    index.close()
    assert not builder.build(2, 10).again


def test_a_deleted_index_is_none(builder: Builder) -> None:
    builder.run = Run([Line()] * 50)
    builder.build(2, 10)
    delete_index(builder.recording.path)
    assert open_index_of(builder.recording) is None
