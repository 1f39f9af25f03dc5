"""Ticks, frames and the search, against what plain Python says about the same program."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.native.driving import (
    BREAKPOINT,
    COLLECT,
    DEPTH,
    END,
    FOR_EVER,
    HERE,
    LIMIT,
    LINE,
    MATCH,
    RAISE,
    VISIBLE,
    Debuggee,
    Process,
)

MIXED = HERE / "programs" / "mixed.py"
HEAP = HERE / "programs" / "heap.py"
RAISING = HERE / "programs" / "raising.py"


@dataclass(frozen=True)
class Event:
    """A line event in the program's file; `depth` counts the module as 1."""

    tick: int
    line: int
    depth: int
    function: str
    locals: dict[str, str]
    first: bool


def plain(program: Path) -> list[Event]:
    done = subprocess.run(
        [sys.executable, str(HERE / "oracle.py"), str(program)], capture_output=True, text=True, check=True
    )
    return [Event(*json.loads(row)) for row in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def mixed() -> list[Event]:
    return plain(MIXED)


@pytest.fixture
def debuggee() -> Iterator[Debuggee]:
    with Debuggee(MIXED) as started:
        yield started


def base(process: Process) -> int:
    """Frames below the program's module, found at tick 1."""
    with process.fork() as first:
        return first.run(1).depth - 1


def test_line_function_depth_and_locals_at_every_tick(mixed: list[Event], debuggee: Debuggee) -> None:
    below = base(debuggee)
    for event in mixed[:: max(1, len(mixed) // 120)]:
        stopped = debuggee.run(event.tick)
        assert (stopped.reason, stopped.tick, stopped.depth - below) == (LIMIT, event.tick, event.depth)
        seen = debuggee.look(
            "(frame.f_lineno, frame.f_code.co_qualname, {k: repr(v) for k, v in frame.f_locals.items()"
            " if type(v) in (int, str, float, bool, bytes, type(None)) and not k.startswith('__')})"
        )
        assert seen == repr((event.line, event.function, event.locals))


def test_all_visible_lines_are_found_and_the_last_are_reported(mixed: list[Event], debuggee: Debuggee) -> None:
    below = base(debuggee)
    end = debuggee.run(want=LINE | VISIBLE, action=COLLECT)
    assert end.reason == END
    assert end.found == len(mixed)
    assert [(m.tick, m.depth - below) for m in end.matches] == [(e.tick, e.depth) for e in mixed[-64:]]
    assert {(m.kind, m.thread, m.breakpoint) for m in end.matches} == {(LINE, 1, 0)}


def test_stepping_visits_every_visible_line(mixed: list[Event], debuggee: Debuggee) -> None:
    below = base(debuggee)
    stops = [debuggee.run(want=LINE | VISIBLE) for _ in mixed]
    assert [(s.tick, s.depth - below, s.matches[0].depth - below) for s in stops] == [
        (e.tick, e.depth, e.depth) for e in mixed
    ]
    assert debuggee.run(want=LINE | VISIBLE).reason == END


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_depth_of_visible_lines(mixed: list[Event], debuggee: Debuggee, depth: int) -> None:
    expected = [(e.tick, e.depth) for e in mixed if e.depth <= depth]
    below = base(debuggee)
    end = debuggee.run(want=DEPTH | VISIBLE, depth=below + depth, action=COLLECT)
    assert end.found == len(expected)
    assert [(m.tick, m.depth - below) for m in end.matches] == expected[-64:]


def test_depth_counts_library_frames(mixed: list[Event], debuggee: Debuggee) -> None:
    """The module's own lines are the only ones of depth 1, whoever else runs in between."""
    below = base(debuggee)
    end = debuggee.run(want=DEPTH, depth=below + 1, action=COLLECT)
    assert end.found == sum(e.depth == 1 for e in mixed)


def test_a_step_over_from_inside_recursion(mixed: list[Event], debuggee: Debuggee) -> None:
    start = next(e for e in mixed if e.function == "fib" and e.depth == 4 and e.locals["n"] == "2")
    after = next(e for e in mixed if e.tick > start.tick and e.depth <= start.depth)
    below = base(debuggee)
    debuggee.run(start.tick)
    assert debuggee.run(want=DEPTH, depth=below + start.depth).tick == after.tick


def line_of(text: str) -> int:
    return next(n for n, line in enumerate(MIXED.read_text().splitlines(), 1) if text in line)


def test_line_breakpoints(mixed: list[Event], debuggee: Debuggee) -> None:
    lines = {line_of("failures += len"): 7, line_of("return fib(n - 1)"): 8, line_of("lambda x: x * 2"): 9}
    debuggee.set_breakpoints(*((id, 0, line, str(MIXED)) for line, id in lines.items()), (99, 0, 1, "/elsewhere.py"))
    expected = [(e.tick, lines[e.line]) for e in mixed if e.line in lines]
    with debuggee.fork() as collector:
        end = collector.run(want=BREAKPOINT, action=COLLECT)
        assert end.found == len(expected)
        assert [(m.tick, m.breakpoint) for m in end.matches] == expected[-64:]
    for tick, id in expected[:20]:
        stopped = debuggee.run(want=BREAKPOINT)
        assert (stopped.reason, stopped.tick, stopped.matches[0].breakpoint) == (MATCH, tick, id)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("fib", "fib"),
        ("mixed:Account.pay", "Account.pay"),
        ("Account.__init__", "Account.__init__"),
        ("countdown", "countdown"),
        ("spin", "spin"),
        ("key", "key"),
        ("<lambda>", "<lambda>"),
        ("other:fib", ""),
        ("pay", ""),
    ],
)
def test_function_breakpoints(mixed: list[Event], debuggee: Debuggee, name: str, function: str) -> None:
    expected = [e.tick for e in mixed if e.first and e.function == function]
    assert bool(expected) == bool(function)
    debuggee.set_breakpoints((3, 1, 0, name))
    end = debuggee.run(want=BREAKPOINT, action=COLLECT)
    assert end.found == len(expected)
    assert [m.tick for m in end.matches] == expected[-64:]


def test_until_bounds_a_collection_and_the_next_goes_on_behind_it(mixed: list[Event], debuggee: Debuggee) -> None:
    middle = mixed[len(mixed) // 2].tick
    first = debuggee.run(middle, want=LINE | VISIBLE, action=COLLECT)
    assert (first.reason, first.tick) == (LIMIT, middle)
    rest = debuggee.run(want=LINE | VISIBLE, action=COLLECT)
    assert first.matches[-1].tick == middle
    assert first.found + rest.found == len(mixed)


def test_lines_of_all_threads_match_while_the_one_that_is_sought_does_not_live(debuggee: Debuggee) -> None:
    assert [debuggee.run(want=LINE, thread=2).tick for _ in range(3)] == [1, 2, 3]


def test_first_raises_and_nothing_else() -> None:
    lines = RAISING.read_text().splitlines()
    events = {e.tick: e.line for e in plain(RAISING)}
    with Debuggee(RAISING) as debuggee:
        end = debuggee.run(want=RAISE, action=COLLECT)
        visible = [m for m in end.matches if m.tick in events]
    raised = [events[m.tick] for m in visible]
    assert all(m.kind == RAISE for m in end.matches)
    key, again, value, chained = (
        next(n for n, line in enumerate(lines, 1) if text in line)
        for text in ('{}["key"]', "raise kept", 'int("x")', "raise RuntimeError")
    )
    stop = next(n for n, line in enumerate(lines, 1) if "raise StopIteration" in line)
    swallowed = next(n for n, line in enumerate(lines, 1) if "raise OSError" in line)
    mapped = next(n for n, line in enumerate(lines, 1) if '["1", "x"]' in line)
    # the thrown exception is raised at the line that threw it: the generator has not had a line of its own since
    thrown = next(n for n, line in enumerate(lines, 1) if "g.throw" in line)
    assert raised == [key, key, key, again, key, stop, thrown, swallowed, value, chained, mapped, key]


def test_a_raise_stops_inside_its_line_and_the_uncaught_one_is_named_at_the_end() -> None:
    events = plain(RAISING)
    with Debuggee(RAISING) as debuggee:
        first = debuggee.run(want=RAISE)
        assert first.reason == MATCH
        assert debuggee.look("frame.f_lineno, frame.f_code.co_name") == f"({line_with('key')}, 'missing')"
        end = debuggee.run()
    told = json.loads(end.text)
    last = [e.tick for e in events if e.line == line_with("key")][-1]
    assert (told["uncaught"], told["raise_tick"], told["status"]) == ("KeyError", last, 1)


def line_with(text: str) -> int:
    return next(n for n, line in enumerate(RAISING.read_text().splitlines(), 1) if f'{{}}["{text}"]' in line)


def test_every_run_from_one_fork_has_the_same_memory() -> None:
    """Whatever was sought, looked at or snapshotted on the way."""
    ask = "addresses[-5:], [id(each) for each in kept], id(frame.f_globals)"
    with Debuggee(HEAP) as root:
        far = [e.tick for e in plain(HEAP) if e.function == "work"][-30]
        root.run(2000)
        with root.fork() as straight, root.fork() as searching, root.fork() as dawdling:
            straight.run(far)
            searching.set_breakpoints((1, 0, 20, str(HEAP)), (2, 1, 0, "Node.__init__"), (3, 1, 0, "dumps"))
            searching.run(far, want=BREAKPOINT | LINE | RAISE | VISIBLE, action=COLLECT)
            for tick in range(3000, far, (far - 3000) // 9):
                dawdling.run(tick, want=DEPTH, depth=1)
                dawdling.look("[object() for _ in range(1000)] and len(kept)")
                dawdling.fork().__exit__()
            dawdling.run(far)
            seen = straight.look(ask)
            assert "Error" not in seen
            assert searching.look(ask) == seen
            assert dawdling.look(ask) == seen
            with dawdling.fork() as child:
                assert child.look(ask) == seen
            assert straight.run(FOR_EVER).tick == searching.run(FOR_EVER).tick
