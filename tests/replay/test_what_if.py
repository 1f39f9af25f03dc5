"""What if: against plain Python running the program with the statement written into it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from retroscope.replay import what_if
from retroscope.replay.moments import Breakpoint, Moment, ReplayError
from retroscope.replay.timeline import Timeline

from tests.replay.conftest import PROGRAMS, Recorder
from tests.replay.test_prompt import answers, scripted

SOURCE = (PROGRAMS / "supposing.py").read_text()


@pytest.fixture(scope="module")
def trace(recorded: Recorder) -> Path:
    return recorded("supposing")


@pytest.fixture
def timeline(trace: Path) -> Iterator[Timeline]:
    with Timeline.open(trace) as timeline:
        yield timeline


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(SOURCE.splitlines(), 1) if text in line)


def stand_at(timeline: Timeline, text: str) -> Moment:
    """Goes to the first time that the line with `text` runs."""
    return next(timeline.hits(Breakpoint(1, path="supposing.py", line=line_of(text))))


def plainly(folder: Path, before: str = "", statement: str = "") -> list[str]:
    """What plain Python prints when `statement` stands in front of the line with `before`."""
    lines = SOURCE.splitlines(keepends=True)
    if before:
        at = line_of(before) - 1
        indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
        lines.insert(at, textwrap.indent(statement + "\n", indent))
    program = folder / "changed.py"
    program.write_text("".join(lines))
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=False, timeout=60)
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("place", "statement"),
    [
        ("total = 0", "numbers = [10, 20]"),
        ("return total", "total += 1000"),
        ("raise ValueError", "account.balance = 4"),
        ("in outer", "factor = 100"),
        ("in main", "account.log['opened'] = 5"),
        ("in main", "account.log = {}"),
        ("refused:", "error = 'nothing'"),
        ("log of threads", "account.log.clear()"),
        ("in main", "account.balance += 2"),
        ("in main", "account.balance = 4"),
        ("in main", "account.balance -= 3; account.log[2] = [n * account.balance for n in range(3)]"),
    ],
)
def test_it_does_what_plain_python_does(timeline: Timeline, tmp_path: Path, place: str, statement: str) -> None:
    stand_at(timeline, place)
    answer = timeline.what_if(statement)
    recorded, changed = plainly(tmp_path), plainly(tmp_path, place, statement)
    assert answer.ended == "it runs to the end of the program"
    assert recorded != changed
    assert [row[2:] for row in answer.output if row[0] == "-"] == [line for line in recorded if line not in changed]
    assert [row[2:] for row in answer.output if row[0] == "+"] == [line for line in changed if line not in recorded]


def test_a_global_variable_is_meant_where_there_is_no_local_one(timeline: Timeline, tmp_path: Path) -> None:
    stand_at(timeline, "total = 0")
    answer = timeline.what_if("RATE = 50")
    assert answer.output[:2] == ("- sum 6", "+ sum 150")
    assert timeline.evaluate("RATE").text == "2"


def test_another_frame_and_another_exception(timeline: Timeline) -> None:
    stand_at(timeline, "if amount > account.balance")
    caller = timeline.stack()[1]
    answer = timeline.what_if("account = None", caller.id)
    assert "with an uncaught" not in answer.ended  # its traceback asks for the source
    assert "an uncaught AttributeError ends the program" in answer.ended
    said = [row for row in answer.exceptions if row[0] == "+"]
    assert len(said) == 1 and said[0].startswith("+ AttributeError: 'NoneType' object has no attribute 'balance'  at ")
    assert next(row for row in answer.exceptions if row[0] == "-").startswith("- ValueError: only 3  at ")


def test_it_ends_where_the_recording_has_no_answer(timeline: Timeline) -> None:
    stand_at(timeline, "in main")
    answer = timeline.what_if("account.balance = 1000")
    assert f"supposing.py:{line_of('a question')} in main" in answer.ended
    assert "the recording has no answers" in answer.ended
    assert answer.ended.endswith("the program called time.perf_counter()")
    assert "+ rich" in answer.output
    assert not any("more" in row or "asked" in row for row in answer.output)


def test_nothing_is_different_after_nothing(timeline: Timeline) -> None:
    stand_at(timeline, "in outer")
    answer = timeline.what_if("pass")
    assert (answer.ended, answer.output, answer.exceptions, answer.notes) == (
        "it runs to the end of the program", (), (), (),
    )  # fmt: skip


def test_an_endless_branch_is_stopped(timeline: Timeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(what_if, "MOST_SECONDS", 0.5)
    stand_at(timeline, "account.balance < -100")
    answer = timeline.what_if("account.balance = -1000")
    assert "it was stopped after 0.5 seconds" in answer.ended


def test_memory_is_limited(timeline: Timeline) -> None:
    stand_at(timeline, "total = 0")
    answer = timeline.what_if("numbers, RATE = ['x'], 1 << 31")
    assert any(row.startswith("+ MemoryError") for row in answer.exceptions)
    assert "a branch may take 1 GiB more memory than the program has here" in answer.notes


def test_the_timeline_stays_as_it_was(timeline: Timeline) -> None:
    moment = stand_at(timeline, "in main")
    for statement in ("account = None", "account.balance = 1000", "globals().clear()"):
        timeline.what_if(statement)
    assert timeline.now == moment
    assert timeline.evaluate("account.balance").text == "10"
    assert timeline.run().text == "the program is over, exit status 0"
    assert timeline.reverse_run().reason.value == "beginning"


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("{}['key']", "the change failed: KeyError: 'key'"),
        ("total =", "the change failed: SyntaxError: "),
        ("nowhere.x = 1", "the change failed: NameError: name 'nowhere' is not defined"),
        ("del total", "the change failed: NameError: a variable of a function cannot be deleted here"),
        ("open('made', 'w')", "the change failed: RuntimeError: _io.FileIO.__init__ reaches outside the recording"),
    ],
)
def test_a_change_that_fails_is_refused(timeline: Timeline, statement: str, said: str) -> None:
    stand_at(timeline, "total += number")
    with pytest.raises(ReplayError) as refused:
        timeline.what_if(statement)
    assert str(refused.value).startswith(said)


def test_a_name_that_nothing_reads_is_told(timeline: Timeline) -> None:
    stand_at(timeline, "in main")
    answer = timeline.what_if("acount = None")
    assert answer.notes == ("neither this function nor its module has a variable acount",)


def test_at_the_end_there_is_nothing_to_change(timeline: Timeline) -> None:
    timeline.goto_end()
    with pytest.raises(ReplayError, match="nothing can be changed"):
        timeline.what_if("RATE = 3")


def test_the_prompt_says_it(trace: Path) -> None:
    said = answers(trace, "until add_up", "what-if numbers = [4]", "tick", "print numbers", "where").splitlines()
    assert said[2:9] == [
        "it runs to the end of the program", "output:", "  - sum 6", "  + sum 8", "    … 6 lines alike",
        "exceptions: no difference", said[8],
    ]  # fmt: skip
    assert said[8].startswith("tick ") and said[9] == "[1, 2]"
    failed = scripted(trace, "what-if")
    assert failed.returncode == 1
    assert failed.stderr == "scope: what? what-if STATEMENT, for instance: what-if total = 0\n"


def test_a_difference_in_rows() -> None:
    same = "  … 1 line alike"
    assert what_if.difference(["a", "b", "c"], ["a", "x", "c"]) == [same, "- b", "+ x", same]
    assert what_if.difference(["a"], ["a"]) == []
    long = what_if.difference([], [str(n) for n in range(2000)])
    assert len(long) == 41 and long[-1] == "  … 1960 more rows"
