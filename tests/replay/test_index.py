"""The index of real recordings: every answer is what the same timeline finds by running, or that it is not known."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from inspect import CO_NEWLOCALS
from itertools import islice
from pathlib import Path
from types import CodeType

import pytest
from retroscope.replay.breakpoints import code_lines, function_names
from retroscope.replay.index import Index, open_index_of
from retroscope.replay.index_building import IndexBuilder
from retroscope.replay.index_facts import Place
from retroscope.replay.index_frames import stack, threads
from retroscope.replay.recording import Recording
from retroscope.replay.timeline import Breakpoint, FrameId, Moment, ReplayError, StopReason, Tick, Timeline

from tests.replay.conftest import PROGRAMS, SCOPE, Recorded

VALUES = PROGRAMS.parent / "values"
NAMES = sorted([f"walks/{path.stem}" for path in PROGRAMS.glob("*.py") if path.stem != "long"]
               + [f"values/{path.stem}" for path in VALUES.glob("*.py")])  # fmt: skip
SEGMENTS = 700
"""Ticks of a segment: each recording has many, whose seams fall anywhere."""


class Indexed:
    """A recording with an index, opened twice: `with_index` and `plain`."""

    def __init__(self, name: str, folder: Path) -> None:
        self.program = PROGRAMS.parent / f"{name}.py"
        self.trace = folder / "trace.db"
        command = [SCOPE, "record", "-q", "-o", str(self.trace), str(self.program)]
        subprocess.run(command, capture_output=True, check=False, cwd=folder)
        self.recording = Recording(str(self.trace))
        built = IndexBuilder(self.recording, workers=2, segment=SEGMENTS).build()
        assert built.complete
        self.with_index = Timeline.open(self.trace)
        self.plain = Timeline.open(self.trace, use_index=False)
        index = self.with_index.index
        assert index is not None
        assert self.plain.index is None
        self.index: Index = index
        self.last = self.plain.goto_end().tick

    def close(self) -> None:
        self.with_index.close()
        self.plain.close()
        self.recording.close()

    def codes(self, function: str) -> list[CodeType]:
        """The program's codes of this qualified name."""
        codes = [compile(self.program.read_text(), str(self.program), "exec")]
        for code in codes:
            codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        return [code for code in codes if code.co_qualname == function]

    def shared(self, function: str) -> set[str]:
        """The variables of a function that inner or outer ones see too."""
        found = self.codes(function)
        return {name for code in found for name in (*code.co_cellvars, *code.co_freevars)}

    def places(self, drawn: random.Random) -> list[Breakpoint]:
        """A few breakpoints in the program, and perhaps one in the library."""
        text = self.program.read_text()
        lines = code_lines(text, str(self.program))
        functions = [name for name in function_names(text, str(self.program)) if "<" not in name]
        chosen: list[tuple[str | None, int | None, str | None]] = []
        path = str(self.program)
        chosen += [(path, line, None) for line in drawn.sample(lines, min(len(lines), drawn.randint(0, 3)))]
        chosen += [(None, None, name) for name in drawn.sample(functions, min(len(functions), drawn.randint(0, 2)))]
        if drawn.random() < 0.3 or not chosen:
            chosen.append((None, None, "_find_and_load"))
        return [Breakpoint(number, *each) for number, each in enumerate(chosen, 1)]


@pytest.fixture(scope="module", params=NAMES)
def indexed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Indexed]:
    indexed = Indexed(request.param, tmp_path_factory.mktemp("indexed"))
    yield indexed
    indexed.close()


def brief(moment: Moment) -> tuple[object, ...]:
    return moment.tick, moment.input, moment.thread, moment.reason, sorted(moment.breakpoints), moment.text


def test_continuing_both_ways_stops_where_it_does_without(indexed: Indexed) -> None:
    drawn = random.Random(indexed.program.stem)
    for _ in range(12):
        places = indexed.places(drawn)
        tick = Tick(drawn.randint(1, indexed.last))
        found = []
        moves = [drawn.random() < 0.6 for _ in range(4)]
        for timeline in (indexed.with_index, indexed.plain):
            timeline.set_breakpoints(places)
            timeline.goto(tick)
            found.append([brief(timeline.reverse_run() if back else timeline.run()) for back in moves])
        assert found[0] == found[1], (places, tick, moves)


def test_the_number_of_hits_is_that_of_running(indexed: Indexed) -> None:
    drawn = random.Random(indexed.program.stem)
    text = indexed.program.read_text()
    for line in drawn.sample(code_lines(text, str(indexed.program)), 3):
        ticks = list(indexed.index.hits(Place.of_row(str(indexed.program), line)))
        moments = list(indexed.plain.hits(Breakpoint(1, path=str(indexed.program), line=line)))
        if indexed.plain.now.reason is StopReason.END:
            assert ticks == [moment.tick for moment in moments[:-1]]


def test_frames_and_variables_are_those_of_looking(indexed: Indexed) -> None:
    drawn = random.Random(indexed.program.stem)
    entry = indexed.plain.entry
    for _ in range(25):
        tick = Tick(drawn.randint(entry, indexed.last))
        indexed.plain.goto(tick)
        seen = stack(indexed.index, tick)
        shown = indexed.plain.stack()
        assert [(f.function, f.path, f.line) for f in seen] == [
            (f.function, f.path.partition("> of ")[0] + ">" * ("> of " in f.path), f.line) for f in shown
        ]
        assert threads(indexed.index, tick)[0] == indexed.plain.now.thread
        for state, frame in zip(seen, shown, strict=True):
            assert state.visible == frame.visible
            if state.variables is None:
                functions = [code for code in indexed.codes(frame.function) if code.co_flags & CO_NEWLOCALS]
                assert not (frame.visible and functions)
                continue
            shared = indexed.shared(frame.function) if state is not seen[0] else set()
            for name, value in state.variables.items():
                if value.address or name in shared:
                    continue
                evaluated = indexed.plain.evaluate(name, frame.id)
                assert evaluated.text == value.text, (tick, name, frame)


PATHS = {
    "writes": ["box.n", "box.map", "box.map['key']", "box.map[7]", "box.items", "counter", "s.a", "t[0].n", "heap"],
}


def last_write(timeline: Timeline, tick: Tick, expression: str, frame: FrameId) -> tuple[int, str, str]:
    """(tick, what is said, place); tick 0 and what is said when there is none."""
    timeline.goto(tick)
    try:
        moment = timeline.last_write(expression, frame)
    except ReplayError as error:
        return 0, str(error), ""
    lines = [f"{each.path}:{each.line}" for each in timeline.stack()[:1]]
    return moment.tick, moment.text.partition("; not known")[0], "".join(lines)


def test_the_last_write_is_that_of_a_search(indexed: Indexed) -> None:
    drawn = random.Random(indexed.program.stem)
    looked_up = asked_of = 0
    path = str(indexed.program)
    lines = code_lines(indexed.program.read_text(), path)
    ticks = [tick for line in lines for tick in islice(indexed.index.hits(Place.of_row(path, line)), 40)]
    for _ in range(8):
        tick = Tick(drawn.choice(ticks))
        indexed.plain.goto(tick)
        frames = [frame for frame in indexed.plain.stack() if frame.visible and frame.function != "<module>"]
        if not frames:
            continue
        frame = drawn.choice(frames)
        scope = indexed.plain.scopes(frame.id)[0]
        names = [value.name for value in indexed.plain.expand(scope.reference) if value.name.isidentifier()]
        arguments = indexed.plain.arguments(frame.id)
        callers = [f"{each.path}:{each.line}" for each in indexed.plain.stack()[frame.id + 1 :]]
        for expression in drawn.sample(names, min(3, len(names))) + PATHS.get(indexed.program.stem, []):
            found = last_write(indexed.with_index, tick, expression, frame.id)
            searched = last_write(indexed.plain, tick, expression, frame.id)
            told, _, others = searched[1].partition("; or by ")
            asked = (tick, frame, expression, found, searched)
            if "which of its lines did it is not known" in searched[1]:  # the index knows
                continue
            if (found[0], found[2]) == (searched[0], searched[2]):
                pass
            elif found[1].endswith("passed by this call"):
                assert expression in arguments, asked
                assert found[2] == callers[0], asked
            elif others:  # the search leaves it open, the index knows
                assert found[0] == searched[0] or found[2] in others, asked
            else:
                raise AssertionError(asked)
            assert found[1].partition(" here, it ")[0] == told.partition(" here, it ")[0], asked
            looked_up += found[0] > 0
            asked_of += 1
    assert looked_up or not asked_of  # a program without functions


def test_an_index_is_used_after_the_trace_was_moved(indexed: Indexed, tmp_path: Path) -> None:
    shutil.copy(indexed.trace, tmp_path / "moved.db")
    recording = Recording(str(tmp_path / "moved.db"))
    index = open_index_of(recording)
    assert index is not None
    assert (index.complete, index.end, index.ticks) == (True, indexed.last, indexed.last)
    index.close()
    recording.close()


PAUSED_FOR_LONG = """\
class Pause:
    def __await__(self):
        yield
def burn(turn):
    for _ in range(1500):
        turn += 1
    return turn
async def inner():
    for turn in range(4):
        await Pause()
        burn(turn)
        burn(turn + 1)
async def outer(given):
    made = given + 1
    await inner()
one, other = outer(1), outer(11)
for _ in range(4):
    one.send(None)
    burn(0)
    burn(1)
    other.send(None)
"""


def test_coroutines_are_known_where_they_did_not_run_for_long(record_text: Recorded) -> None:
    """Several observers worked on segments in which they were paused, or waited without a line of their own."""
    program, trace = record_text(PAUSED_FOR_LONG)
    recording = Recording(str(trace))
    assert IndexBuilder(recording, workers=2, segment=SEGMENTS).build().complete
    recording.close()
    with Timeline.open(trace) as timeline:
        index = timeline.index
        assert index is not None
        path = str(program)
        began, seen = list(index.hits(Place.of_row(path, 14))), set()
        for tick in index.hits(Place.of_row(path, 7)):
            frames = {frame.function: frame for frame in stack(index, Tick(tick))}
            if "outer" in frames:
                waiting, given = frames["outer"], 1 if frames["outer"].id == began[0] else 11
                assert (waiting.id, waiting.line) == (began[given == 11], 15)
                assert waiting.variables is not None
                shown = {name: value.text for name, value in waiting.variables.items()}
                assert shown == {"given": str(given), "made": str(given + 1)}
                seen.add((given, waiting.id))
        assert len(seen) == 2
