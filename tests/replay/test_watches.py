"""Watches against brute force: the value of an expression at every line of plain Python, in both directions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from retroscope.replay.timeline import Breakpoint, ReplayError, StopReason, Timeline

from tests.replay import line_events
from tests.replay.conftest import PROGRAMS, SCOPE, Recorder

PROGRAM = """
class Hostile:
    def __init__(self):
        self.n = 0
        self.rows = [1]
    def __repr__(self):
        raise RuntimeError("no")
    def __eq__(self, other):
        raise RuntimeError("no")
    def __getattr__(self, name):
        raise AttributeError(name)
    __hash__ = None
class Slotted:
    __slots__ = ("n",)
def add(other, value):
    other.n = value
def grow(rows):
    for k in range(12):
        rows.append(k)
it = Hostile()
alias = it
table = {"a": 1}
same = table
slots = Slotted()
slots.n = 1
count = 0
begin = 1
alias.n = 5
add(alias, 6)
add(Hostile(), 7)
it.n += 1
grow(alias.rows)
it.rows.append(3)
same["b"] = 2
for k in range(20):
    same[k] = k
    if k % 7 == 0:
        same["a"] = k
del table["b"]
slots.n = [1]
slots.n = 2
del slots.n
slots.n = 3
for count in [1, 1, 2]:
    pass
it.rows = []
alias.rows.append(1)
count += 1
end = 1
"""

ORACLE = (
    """
import json, sys
expression, subject, path = sys.argv[1:4]
code = compile(open(path).read(), path, "exec")
space = {"__name__": "__main__"}
kept, events = [], []
def state(space):
    if "begin" not in space:
        return None
    try:
        if not kept:
            kept.append(eval(subject, space))
        value = eval(expression, {**space, "SUBJECT": kept[0]})
    except (AttributeError, KeyError):
        return ["none"]
    alive.append(value)
    items = []
    if isinstance(value, dict):
        items = [(repr(k), id(v)) for k, v in value.items()]
    elif isinstance(value, list):
        items = [id(v) for v in value]
    return [id(value) if "SUBJECT" in expression else repr(value), items]
alive = []
def event(line):
    events.append([line, state(space)])
"""
    + line_events.RUN
    + """
changes = []
for (line, before), (after, now) in zip(events, events[1:]):
    if before is not None and before != now:
        changes.append([line, after])
print(json.dumps(changes))
"""
)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("watches") / "program.py"
    path.write_text(PROGRAM)
    subprocess.run([SCOPE, "record", "-q", "-o", str(path.with_suffix(".db")), str(path)], check=True)
    return path


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(PROGRAM.splitlines(), 1) if line.startswith(text))


@pytest.mark.parametrize(
    ("expression", "oracle", "subject"),
    [
        ("it.n", "SUBJECT.n", "it"),
        ("alias.n", "SUBJECT.n", "it"),
        ("it.rows", "SUBJECT.rows", "it"),
        ("table", "SUBJECT", "table"),
        ("table['a']", "SUBJECT['a']", "table"),
        ("slots.n", "SUBJECT.n", "slots"),
        ("count", "[SUBJECT, count][1]", "table"),
        ("len(table) % 5 + count", "len(table) % 5 + count", "table"),
        ("it.n > 5 and sum(it.rows) < 9", "SUBJECT.n > 5 and sum(SUBJECT.rows) < 9", "it"),
    ],
)
def test_every_change_stops_in_both_directions(program: Path, expression: str, oracle: str, subject: str) -> None:
    told = subprocess.run(
        [sys.executable, "-c", ORACLE, oracle, subject, str(program)], capture_output=True, text=True, check=True
    )
    expected = json.loads(told.stdout)
    assert expected
    with Timeline.open(program.with_suffix(".db")) as timeline:
        timeline.set_breakpoints([Breakpoint(1, path=str(program), line=line_of("alias.n = 5"))])
        begin = timeline.run()
        timeline.set_breakpoints([])
        timeline.watch(7, expression)
        after = []
        while (moment := timeline.run()).reason is StopReason.BREAKPOINT:
            assert moment.breakpoints == (7,)
            after.append(timeline.stack()[0].line)
        assert moment.reason is StopReason.END
        before = []
        while (moment := timeline.reverse_run()).tick >= begin.tick:
            assert moment.breakpoints == (7,)
            before.append(timeline.stack()[0].line)
    assert after == [line for _, line in expected]
    assert before[::-1] == [line for line, _ in expected]


def test_what_cannot_be_watched_is_refused_with_the_reason(program: Path) -> None:
    with Timeline.open(program.with_suffix(".db")) as timeline:
        timeline.set_breakpoints([Breakpoint(1, path=str(program), line=line_of("end = 1"))])
        timeline.run()
        for expression, reason in (
            ("add(it, 1)", "what a call does"),
            ("it == 1", "hangs on an object of __main__.Hostile"),
            ("nothing", "nothing has no value here"),
            ("1 + 1", "nothing in it can change"),
            ("count +", "SyntaxError"),
            ("table[0] / 0", "ZeroDivisionError"),
        ):
            with pytest.raises(ReplayError, match=reason):
                timeline.watch(1, expression)


def test_a_variable_whose_function_does_not_run_is_not_passed_over_in_silence(program: Path) -> None:
    with Timeline.open(program.with_suffix(".db")) as timeline:
        timeline.set_breakpoints([Breakpoint(1, path=str(program), line=line_of("        rows.append"))])
        timeline.run()
        timeline.set_breakpoints([])
        assert timeline.watch(3, "k") == "0"
        assert [timeline.run().text for _ in range(2)] == ["k is 1 now, it was 0", "k is 2 now, it was 1"]
        timeline.goto_end()
        moment = timeline.reverse_run()
        assert moment.reason is StopReason.BEGINNING
        assert "not watched on the way" in moment.text


REPLACED = """\
class Holder:
    pass
holder = Holder()
holder.state = {"phase": 1}
holder.state["phase"] = 2
holder.state = "none"
others = [{} for _ in range(9)]
del others
others = [{"other": n} for n in range(9)]
end = 1
"""


def test_a_place_that_another_object_has_taken_over_is_followed_to_where_its_own_died(tmp_path: Path) -> None:
    """The memory of the dictionary is that of others two times before the end."""
    program = tmp_path / "replaced.py"
    program.write_text(REPLACED)
    subprocess.run([SCOPE, "record", "-q", "-o", str(tmp_path / "t.db"), str(program)], check=True)
    with Timeline.open(tmp_path / "t.db") as timeline:
        timeline.goto_hit(Breakpoint(1, path=str(program), line=5), 1)
        timeline.watch(3, "holder.state['phase']")
        after = []
        while (moment := timeline.run()).reason is StopReason.BREAKPOINT:
            after.append((moment.text, timeline.stack()[0].line))
        assert after[0] == ("holder.state['phase'] is 2 now, it was 1", 6)
        assert after[1][1] == 7
        assert "it was 2" in after[1][0]
        timeline.goto_hit(Breakpoint(1, path=str(program), line=10), 1)
        said = [timeline.reverse_run().text for _ in range(2)]
        assert said[0].startswith("holder.state['phase'] loses its value here, it was 2; its place is that of another")
        assert timeline.stack()[0].line == 5
        assert said[1] == "holder.state['phase'] becomes 2 here, it was 1"
        while (moment := timeline.reverse_run()).reason is StopReason.BREAKPOINT:
            assert timeline.stack()[0].line == 4, "before that the place belonged to others"


def test_a_coroutines_variable_is_watched_while_it_waits(recorded: Recorder) -> None:
    with Timeline.open(recorded("awaited")) as timeline:
        timeline.goto_hit(Breakpoint(1, path=str(PROGRAMS / "awaited.py"), line=14), 1)
        timeline.watch(1, "log")
        seen = []
        for _ in range(4):
            seen.append((timeline.run().text, timeline.stack()[0].line))
        assert seen == [
            ("log is [0] now, it was []", 9),
            ("log is [0, 1] now, it was [0]", 9),
            ("log is [0, 1, 2] now, it was [0, 1]", 9),
            ("log is [0, 1, 2] now, it was another one that looks the same", 19),
        ]
        back = []
        for _ in range(4):
            back.append((timeline.reverse_run().text, timeline.stack()[0].line))
        assert back == [
            ("log becomes [0, 1, 2] here, it was another one that looks the same", 18),
            ("log becomes [0, 1, 2] here, it was [0, 1]", 8),
            ("log becomes [0, 1] here, it was [0]", 8),
            ("log becomes [0] here, it was []", 8),
        ]
