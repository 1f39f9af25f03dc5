"""Conditions judged inside a scout: never "no" where Python says yes, never a line of the program's run."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from retroscope.replay import inspector_conditions
from retroscope.replay.timeline import Breakpoint, StopReason, Timeline

from tests.replay.conftest import SCOPE

PROGRAM = """\
class Row:
    kind = "row"
    def __init__(self, number):
        self.number = number
        self.tags = {"n": number, "odd": number % 2 == 1}
        self.parts = [number, str(number), (number, None)]
    @property
    def double(self):
        looked.append(self)
        return self.number * 2
    def __eq__(self, other):
        looked.append(other)
        return False
class Child(Row):
    __slots__ = ("extra",)
class Text(str):
    pass
looked = []
def visit(row, index, name):
    total = index * 2
    return total  # here
rows = [(Row if n % 3 else Child)(n) for n in range(40)]
for place, each in enumerate(rows):
    label = Text(place) if place % 5 == 0 else f"row {place}"
    visit(each, place, label)
print(len(looked))
"""

LINE = next(number for number, text in enumerate(PROGRAM.splitlines(), 1) if "# here" in text)

ATOMS = [
    "index", "total", "row.number", "row.kind", "row.tags['n']", "row.parts[0]", "row.parts[1]", "row.parts[2][0]",
    "name", "len(row.parts)", "row.tags['odd']", "row.parts[2][1]", "3", "'row 7'", "-1", "len(rows)", "row.double",
    "total / 4", "index % 7", "row.tags.get('n')", "None", "row", "row.missing", "type(row)", "(index, 3)",
]  # fmt: skip
COMPARISONS = ["==", "!=", "<", "<=", ">", ">=", "is", "is not", "in", "not in"]
SPECIAL = [
    "isinstance(row, Row)", "isinstance(row, Child)", "isinstance(name, str)", "not row",
    "name.startswith('row 1')", "row", "index in (3, 5, 9)", "'7' in name", "'odd' in row.tags", "len(looked) == 0",
    "abs(index - 20) < 3", "type(row) is Child", "isinstance(index, (int, str))", "looked", "sum([index, 1]) == 8",
    "row == 3", "hasattr(row, 'extra')", "1 < index < 9",
]  # fmt: skip
comparisons = st.builds("{} {} {}".format, st.sampled_from(ATOMS), st.sampled_from(COMPARISONS), st.sampled_from(ATOMS))
conditions = st.recursive(
    comparisons | st.sampled_from(SPECIAL),
    lambda inner: (
        st.builds("({}) {} ({})".format, inner, st.sampled_from(["and", "or"]), inner)
        | st.builds("not ({})".format, inner)
    ),
    max_leaves=3,
)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("conditions") / "rows.py"
    path.write_text(PROGRAM)
    subprocess.run([SCOPE, "record", "-q", "-o", str(path.with_suffix(".db")), str(path)], check=True)
    return path


@pytest.fixture(scope="module")
def timeline(program: Path) -> object:
    with Timeline.open(program.with_suffix(".db")) as timeline:
        yield timeline


def plain_answers(condition: str) -> list[int]:
    """The calls of visit() at which plain Python lets the condition stop: it holds, or it raises."""
    hits: list[int] = []
    source = PROGRAM.replace("    return total  # here", "    ask(locals())\n    return total")

    def ask(scope: dict[str, object]) -> None:
        looked = list(space["looked"])  # type: ignore[call-overload]
        try:
            holds = bool(eval(condition, {**space, **scope}))
        except Exception:
            holds = True
        space["looked"][:] = looked  # type: ignore[index]
        if holds:
            hits.append(int(str(scope["index"])))

    space: dict[str, object] = {"__name__": "__main__", "ask": ask, "print": lambda *_: None}
    exec(compile(source, "rows.py", "exec"), space)
    return hits


@pytest.mark.filterwarnings("ignore::SyntaxWarning")  # "is" with a literal
@settings(deadline=None, max_examples=60)
@given(condition=conditions, backwards=st.booleans())
def test_stops_are_those_of_plain_python(timeline: Timeline, program: Path, condition: str, backwards: bool) -> None:
    timeline.set_breakpoints([Breakpoint(1, path=str(program), line=LINE, condition=condition)])
    expected = plain_answers(condition)
    if backwards:
        timeline.goto_end()
    else:
        timeline.goto(timeline.entry)
    found = []
    while (moment := timeline.reverse_run() if backwards else timeline.run()).reason is StopReason.BREAKPOINT:
        found.append(int(timeline.evaluate("index").text))
    assert moment.reason is (StopReason.BEGINNING if backwards else StopReason.END)
    assert found == (expected[::-1] if backwards else expected)
    assert timeline.goto_end().reason is StopReason.END
    assert b"".join(chunk.data for chunk in timeline.output()) == b"0\n"


HOT = "total = 0\nfor i in range(100_000):\n    total += i\nprint(total)\n"
HOT_IN_A_THREAD = """\
def work(total=0):
  for i in range(100_000): \n    total += i
import threading
kinds = {int: 1, type(None): 2}  # from here on types have another hash
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


@pytest.mark.alone
@pytest.mark.parametrize("text", [HOT, HOT_IN_A_THREAD], ids=["alone", "in a thread"])
def test_a_condition_in_a_hot_loop_is_judged_in_microseconds(tmp_path: Path, text: str) -> None:
    path = tmp_path / "loop.py"
    path.write_text(text)
    subprocess.run([SCOPE, "record", "-q", "-o", str(tmp_path / "t.db"), str(path)], check=True)
    with Timeline.open(tmp_path / "t.db") as timeline:
        timeline.set_breakpoints([Breakpoint(1, path=str(path), line=3, condition="i == 99_000")])
        began = time.monotonic()
        assert timeline.run().breakpoints == (1,)
        assert timeline.evaluate("i").text == "99000"
        timeline.set_breakpoints([Breakpoint(1, path=str(path), line=3, condition="i == 1_000")])
        assert timeline.reverse_run().breakpoints == (1,)
        assert timeline.evaluate("i, total").text == "(1000, 499500)"
        assert time.monotonic() - began < 20  # a fork for each hit would take some minutes


def test_what_cannot_be_judged_has_no_judgement() -> None:
    texts = ["[y for y in x]", "x if y else z", "lambda: 1", "x := 3", "x[1:2]", "x @ y", ")", "f(a=1)"]
    assert inspector_conditions.prepare_conditions(list(enumerate(texts))) == {}
    prepared = inspector_conditions.prepare_conditions([(4, "1 < 2"), (5, "2 < 1")])
    assert inspector_conditions.judge_condition(prepared, 4, None) is True
    assert inspector_conditions.judge_condition(prepared, 5, None) is False
    assert inspector_conditions.judge_condition(prepared, 6, None) is True
