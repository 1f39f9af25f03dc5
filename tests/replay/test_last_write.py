"""`last-write`: a table of answers known by reading the program, and random programs against plain Python."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from retroscope.replay.timeline import Breakpoint, ReplayError, Tick, Timeline

from tests.replay import line_events
from tests.replay.conftest import PROGRAMS, SCOPE, Recorder

WRITES = PROGRAMS / "writes.py"


def line_of(text: str) -> int:
    lines = WRITES.read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


@pytest.fixture(scope="module")
def timeline(recorded: Recorder) -> Iterator[Timeline]:
    with Timeline.open(recorded("writes")) as timeline:
        yield timeline


def stand_at(timeline: Timeline, text: str) -> None:
    """Before the first line that contains `text`."""
    timeline.goto(timeline.entry)
    timeline.set_breakpoints([Breakpoint(1, path=str(WRITES), line=line_of(text))])
    assert timeline.run().breakpoints == (1,)
    timeline.set_breakpoints([])


@pytest.mark.parametrize(
    ("expression", "writer", "said"),
    [
        ("box.n", "box.n = compute()", "box.n becomes 42 here, it was 7"),
        ("box.map['key']", 'box.map["key"] =', "becomes 'value' here, it had no value before"),
        ("box.map", "box.map[i] = i", "the items of box.map change here"),
        ("box.items", "values.append(99)", "becomes [1, 2, 99] here, it was [1, 2]"),
        ("box.items[1]", "items.append(2)", "becomes 2 here, it had no value before"),
        ("counter", "counter += 1", "becomes 1 here, it was 0"),
        ("s.a", "s.a = 6", "becomes 6 here, it was 5"),
        ("heap", "heapq.heappush(", "becomes [0, 1, 2, 3] here, it was [1, 3, 2]"),
        ("nested['rows'][1]['x']", '["x"] = 7', "becomes 7 here, it was 2"),
        ("nested['rows'][-1]['x']", '["x"] = 7', "becomes 7 here, it was 2"),
        ("t[0].n", "box.n = compute()", "becomes 42 here, it was 7"),
        ("y", "y = outer(8)", "becomes 53 here, it had no value before"),
        ("box", "box = Box(3)", "it had no value before"),
        ("box.n + 1", "box.n = compute()", "box.n + 1 becomes 43 here, it was 8"),
        ("len(heap) * 2", "heapq.heappush(", "len(heap) * 2 becomes 8 here, it was 6"),
        ("box.map[7]", "box.map[i] = i", "becomes 7 here, it had no value before"),
    ],
)
def test_the_line_that_wrote_it(timeline: Timeline, expression: str, writer: str, said: str) -> None:
    stand_at(timeline, "Box.shared.append(1)")
    moment = timeline.last_write(expression)
    frame = timeline.stack()[0]
    assert (frame.path, frame.line) == (str(WRITES), line_of(writer))
    assert said in moment.text
    assert ", after this function" not in moment.text


def test_cells_and_arguments(timeline: Timeline) -> None:
    stand_at(timeline, "return cell + result")
    assert timeline.last_write("cell").text == "cell becomes 3 here, it was 2"
    assert timeline.stack()[0].line == line_of("cell += 1")
    stand_at(timeline, "return cell + result")
    assert timeline.last_write("arg").text.endswith("passed by this call")
    assert timeline.stack()[0].line == line_of("y = outer(8)")
    stand_at(timeline, "return cell + result")
    assert timeline.last_write("result").text.startswith("result becomes 42 here")
    assert timeline.stack()[0].line == line_of("result = compute()")


def test_where_two_lines_may_have_done_it_both_are_named(timeline: Timeline) -> None:
    stand_at(timeline, "Box.shared.append(1)")
    assert (
        f"or by {WRITES}:{line_of('class Box')}, when it went on"
        in timeline.last_write("Box.shared").text
    )


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("missing", "missing has no value here"),
        ("box.nothing", "has no attribute nothing here"),
        ("t[1]", "the items of a tuple never change"),
        ("box.bump(1)", "what a call does hangs on more than can be watched"),
        ("[n for n in heap]", "only names, attributes, items, operators and calls"),
        ("box == 1", "it hangs on an object of __main__.Box"),
        ("box.map[heap]", "TypeError|has no value here"),
        ("box.map['no']", "there is no item 'no'"),
        ("box.", "SyntaxError"),
        ("y.real", "real is computed|is not known|kept nowhere"),
    ],
)
def test_what_it_cannot_answer_it_says(timeline: Timeline, expression: str, said: str) -> None:
    stand_at(timeline, "Box.shared.append(1)")
    before = timeline.now.tick
    with pytest.raises(ReplayError, match=said):
        timeline.last_write(expression)
    assert timeline.now.tick == before
    assert timeline.stack()


ACTIONS = {
    "box.value = {n}": "direct",
    "box.items.append({n})": "direct",
    "set_value(box, {n})": "called",
    "grow(box.items)": "called",
    "box.map[{n}] = {n}": "direct",
    "box.map.pop({n}, None)": "direct",
    "box.items[-1:] = [{n}]": "direct",
    "other.value = {n}": "direct",
    "box.map.update((k, k) for k in range({n}))": "direct",
    "read(box)": "called",
    "for k in range({n}): box.value = object()": "direct",
    "box.items = []": "direct",
    "del other.extra[:]": "direct",
    "box.map = dict(box.map)": "direct",
}

HEAD = """
class Thing:
    def __init__(self):
        self.value = 0
        self.items = [0]
        self.map = {}
        self.extra = []
def set_value(thing, n):
    thing.value = [n]
def grow(items):
    for k in range(20):
        items.append(k)
def read(thing):
    total = len(thing.items)
    return total
box = Thing()
other = Thing()
box.value = other.value = None
box.items = [0]
box.map = {0: 0}
"""

ORACLE = (
    """
import sys
expression, path = sys.argv[1:3]
code = compile(open(path).read(), path, "exec")
space = {"__name__": "__main__"}
last = [None]
answer = [None]
previous = [None]
alive = []
def state():
    try:
        value = eval(expression, space)
    except (NameError, AttributeError, KeyError, IndexError):
        return None
    alive.append(value)  # so that no other object takes its address
    content = ()
    if isinstance(value, dict):
        content = tuple((id(k), id(v)) for k, v in value.items()); alive.append(list(value.values()))
    elif isinstance(value, list):
        content = tuple(map(id, value)); alive.append(list(value))
    return id(value), content
def event(line):
    now = state()
    if now != last[0]:
        answer[0] = previous[0]
    last[0], previous[0] = now, line
"""
    + line_events.RUN
    + """
print(answer[0])
"""
)


@settings(deadline=None, max_examples=12)
@given(
    actions=st.lists(st.tuples(st.sampled_from(sorted(ACTIONS)), st.integers(1, 9)), min_size=1, max_size=12),
    expression=st.sampled_from(["box.value", "box.items", "box.map", "box", "other.value"]),
)
def test_random_programs(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, int]], expression: str
) -> None:
    folder = tmp_path_factory.mktemp("random")
    program = folder / "program.py"
    body = "\n".join(action.format(n=n) for action, n in actions)
    program.write_text(textwrap.dedent(HEAD) + body + "\nend = 1\nend = 2\n")
    told = subprocess.run(
        [sys.executable, "-c", ORACLE, expression, str(program)], capture_output=True, text=True, check=True
    )
    subprocess.run([SCOPE, "record", "-q", "-o", str(folder / "t.db"), str(program)], check=True)
    with Timeline.open(folder / "t.db") as timeline:
        last = len(program.read_text().splitlines())
        timeline.set_breakpoints([Breakpoint(1, path=str(program), line=last)])
        assert timeline.run().breakpoints == (1,)
        here = timeline.now.tick
        moment = timeline.last_write(expression)
        assert timeline.stack()[0].line == int(told.stdout), (moment, program.read_text())
        assert Tick(0) < moment.tick < here
        assert Path(timeline.stack()[0].path) == program
