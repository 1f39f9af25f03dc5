"""Log breakpoints, breakpoints at functions, exceptions, what-if and indexes in the making, over the whole run of a
program, compared with a plain Python that ran the same program: `witness.py`."""

from __future__ import annotations

import random
import shutil
from bisect import bisect
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from retroscope.replay.breakpoints import code_lines, function_names
from retroscope.replay.index_building import IndexBuilder, Progress
from retroscope.replay.recording import Recording
from retroscope.replay.timeline import Breakpoint, Moment, ReplayError, StopReason, Tick, Timeline
from retroscope.replay.what_if import difference

from tests.recordings import FIXTURES, recorder
from tests.replay.witness import Witnessed, witness

PROGRAMS = FIXTURES / "witnessed"
LOCALS = (
    "sorted(f'{k}={v!r}' for k, v in locals().items() if k[:1] not in ('_', '.')"
    " and type(v) in (int, str, float, bool, type(None), list, dict, tuple)"
    " and '<Thread(' not in repr(v) and ' at 0x' not in repr(v) and ' object at ' not in repr(v))"
)
CHANGES = ["{n} = {n} * 2", "{n} = None", "{n} = {n}[1:]", "{n} = 3", "{n} = [1, 2]", "{n} = -1", "{n} = {n} + {n}"]

Said = list[tuple[int, str, Tick]]


@dataclass
class Case:
    """A program, what plain Python does in it, and its recording."""

    program: Path
    trace: Path
    plain: Witnessed
    timeline: Timeline
    said: Said
    """(line, its locals, tick) of each line of the program, in order."""

    @property
    def ticks(self) -> list[Tick]:
        return [tick for _, _, tick in self.said]

    def places(self, every: int = 1, message: str | None = None) -> list[Breakpoint]:
        lines = code_lines(self.program.read_text(), str(self.program))[::every]
        return [Breakpoint(line, path=str(self.program), line=line, message=message) for line in lines]

    def functions(self) -> list[Breakpoint]:
        names = sorted(set(function_names(self.program.read_text(), str(self.program))) - {"<module>"})
        return [Breakpoint(n, function=f"{self.program.stem}:{name}") for n, name in enumerate(names, 1)]

    @property
    def has_threads(self) -> bool:
        return len({line.thread for line in self.plain.lines}) > 1

    def in_order(self, rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
        """Of threads only what each does is the same in every run, not which comes first."""
        return sorted(rows, key=repr) if self.has_threads else rows


def say(timeline: Timeline, places: list[Breakpoint], motion: Callable[[], Moment], last: StopReason) -> Said:
    """What messages at these places say on the way to the end or to the beginning."""
    said: Said = []
    timeline.on_message = lambda place, tick, text: said.append((place.id, text, tick))
    assert all(status.verified for status in timeline.set_breakpoints(places))
    assert motion().reason is last
    timeline.set_breakpoints([])
    return said


def stops(motion: Callable[[], Moment], last: StopReason) -> Iterator[Moment]:
    """The timeline stands at each while it is looked at."""
    while (moment := motion()).reason is not last:
        yield moment


@pytest.fixture(scope="module", params=["passing", "tasks", "unwinding", "weaving"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    folder, program = tmp_path_factory.mktemp("witnessed"), PROGRAMS / f"{request.param}.py"
    plain, trace = witness(program, folder, LOCALS), recorder(folder, PROGRAMS)(request.param)
    with Timeline.open(trace, use_index=False) as timeline:
        case = Case(program, trace, plain, timeline, [])
        timeline.goto(Tick(1))
        case.said = say(timeline, case.places(message=f"{{{LOCALS}}}"), timeline.run, StopReason.END)
        yield case


def test_messages_at_every_line_say_what_is_there(case: Case) -> None:
    plain: list[tuple[object, ...]] = [(line.line, line.text) for line in case.plain.lines]
    assert case.in_order([row[:2] for row in case.said]) == case.in_order(plain)


def test_messages_over_the_past(case: Case) -> None:
    places = case.places(every=6, message=f"{{{LOCALS}}}")
    case.timeline.goto_end()
    said = say(case.timeline, places, case.timeline.reverse_run, StopReason.BEGINNING)
    some = {place.id for place in places}
    assert said[::-1] == [row for row in case.said if row[0] in some]


def test_functions_are_entered_where_plain_python_enters_them(case: Case) -> None:
    """A generator that goes on enters nothing, also where an exception is thrown into it."""
    timeline, places = case.timeline, case.functions()
    timeline.set_breakpoints(places)
    timeline.goto(Tick(1))
    found: list[tuple[object, ...]] = []
    ticks = []
    for moment in stops(timeline.run, StopReason.END):
        frame = timeline.stack()[0]
        found.append((frame.function, frame.line))
        ticks.append((moment.tick, moment.breakpoints))
    plain = [line for line in case.plain.lines if line.entered and line.function != "<module>"]
    assert case.in_order(found) == case.in_order([(line.function, line.line) for line in plain])
    back = list(stops(timeline.reverse_run, StopReason.BEGINNING))
    timeline.set_breakpoints([])
    assert [(moment.tick, moment.breakpoints) for moment in back[::-1]] == ticks


def test_exceptions_are_raised_where_plain_python_raises_them(case: Case) -> None:
    timeline = case.timeline
    timeline.break_on_raised = True
    timeline.goto(Tick(1))
    found = [(moment.tick, moment.exception) for moment in stops(timeline.run, StopReason.END)]
    back = [(moment.tick, moment.exception) for moment in stops(timeline.reverse_run, StopReason.BEGINNING)]
    timeline.break_on_raised = False
    assert back[::-1] == found
    assert [(moment.tick, moment.exception) for moment in timeline.sweep(None, Tick(1))] == found
    lines = [case.said[bisect(case.ticks, tick) - 1][0] for tick, _ in found]
    plain: list[tuple[object, ...]] = [(case.plain.lines[at].line, what) for at, what, _ in case.plain.raises]
    what = [(line, what) for line, (_, what) in zip(lines, found, strict=True)]
    assert case.in_order(list(what)) == case.in_order(plain)


class EnoughStored(Exception):
    """The builder of an index is ended here."""


@pytest.mark.parametrize(("complete", "all_code"), [(False, False), (True, True)])
def test_an_index_of_half_the_run_or_of_all_code(case: Case, tmp_path: Path, complete: bool, all_code: bool) -> None:
    trace = Path(shutil.copy(case.trace, tmp_path / "t.db"))
    recording, half = Recording(str(trace)), (case.ticks[0] + case.ticks[-1]) // 2

    def tell(_: Progress) -> None:
        if not complete:
            raise EnoughStored

    with suppress(EnoughStored):
        IndexBuilder(recording, all_code, workers=1, segment=half, on_progress=tell).build()
    recording.close()
    drawn = random.Random(case.program.stem)
    with Timeline.open(trace) as timeline:
        assert timeline.index is not None and timeline.index.complete == complete
        assert complete or timeline.index.ticks == half
        last = case.timeline.goto_end().tick
        for place in drawn.sample(case.places(), 6):
            timeline.set_breakpoints([place])
            here = timeline.goto(drawn.choice(case.ticks)).tick
            wanted = [tick for line, _, tick in case.said if line == place.line]
            assert timeline.run().tick == min([tick for tick in wanted if tick > here], default=last)
            timeline.goto(here)
            assert timeline.reverse_run().tick == max([tick for tick in wanted if tick < here], default=timeline.entry)
        timeline.set_breakpoints(case.functions())
        timeline.goto_end()
        found = [moment.tick for moment in stops(timeline.reverse_run, StopReason.BEGINNING)]
    lines = zip(case.ticks, case.plain.lines, strict=True)
    plain = [tick for tick, line in lines if line.entered and line.function != "<module>"]
    assert found[::-1] == plain if not case.has_threads else len(found) == len(plain)


def changed_rows(rows: tuple[str, ...] | list[str]) -> list[str]:
    return [row for row in rows if row[:1] in "+-"]


def test_what_if_is_what_plain_python_does_after_the_change(case: Case, tmp_path: Path) -> None:
    """Of programs that ask nothing of the outside; in the others nothing is changed, and nothing is different."""
    drawn, asks, done = random.Random(case.program.stem), case.program.stem in ("passing", "tasks"), 0
    while done < 6:
        at = drawn.randrange(len(case.said))
        names = [text.partition("=")[0] for text in eval(case.plain.lines[at].text)]
        statement = "pass" if asks or not names else drawn.choice(CHANGES).format(n=drawn.choice(names))
        case.timeline.goto(case.ticks[at])
        try:
            found = case.timeline.what_if(statement)
        except ReplayError as error:
            assert "the change failed: TypeError" in str(error)
            continue
        done += 1
        if statement == "pass":
            assert (found.output, found.exceptions) == ((), ())
            continue
        plain = witness(case.program, tmp_path, change=(at, statement))
        if plain.uncaught:
            assert f"uncaught {plain.uncaught}" in found.ended, (at, statement)
        else:
            assert found.ended == "it runs to the end of the program"
            assert changed_rows(found.output) == changed_rows(difference(case.plain.output, plain.output))
        both = case.plain, plain
        raises = [[f"{what}  at {where}" for line, what, where in run.raises if line >= at] for run in both]
        assert changed_rows(found.exceptions) == changed_rows(difference(*raises)), (at, statement)
