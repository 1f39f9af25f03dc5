"""How calls ended: with and without an index, against what decorators see under plain Python."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import retroscope
from retroscope.cli.main import main

from tests.api.conftest import Recorder

PROGRAM = """\
import threading


class Odd(Exception):
    pass


def fact(n):
    return n * fact(n - 1) if n > 1 else 1


def fail(n):
    if n == 0:
        raise Odd("none")
    return fail(n - 1)


def caught(n):
    try:
        fail(n)
    except Odd:
        return [n, "was odd"]


def through():
    try:
        return {"a": 1}["b"]
    finally:
        fact(2)


def spin(rounds):
    total = 0
    for number in range(rounds):
        total += number
    return total


def work(results):
    results.append(spin(30000))


def quiet():
    pass


def main():
    results = []
    thread = threading.Thread(target=work, args=(results,))
    thread.start()
    thread.join()
    answers = [fact(4), caught(2), quiet(), spin(3), 2.5, results]
    try:
        through()
    except KeyError:
        answers.append(None)
    return answers


print(main())
"""
ORACLE = """
import ast, functools, json, sys
ended = []
def watched(function):
    @functools.wraps(function)
    def call(*args):
        row = [function.__qualname__, "raised", ""]
        ended.append(row)
        result = function(*args)
        row[1:] = ["returned", repr(result)]
        return result
    return call
tree = ast.parse(open(sys.argv[1]).read())
for each in tree.body:
    if isinstance(each, ast.FunctionDef):
        each.decorator_list = [ast.Name("watched", ast.Load())]
exec(compile(ast.fix_missing_locations(tree), sys.argv[1], "exec"), {"watched": watched, "__name__": "__main__"})
json.dump(ended, sys.stderr)
"""
FUNCTIONS = ["fact", "fail", "caught", "through", "spin", "work", "quiet", "main"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("outcomes") / "outcomes.py"
    program.write_text(PROGRAM)
    assert main(["record", "-q", "-o", str(program.with_name("plain.db")), str(program)]) == 0
    shutil.copy(program.with_name("plain.db"), program.with_name("indexed.db"))
    assert main(["index", "-q", str(program.with_name("indexed.db"))]) == 0
    return program


@pytest.mark.parametrize("trace", ["plain.db", "indexed.db"])
def test_every_call_ends_as_plain_python_says(trace: str, program: Path) -> None:
    command = [sys.executable, "-c", ORACLE, str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    expected = json.loads(done.stderr)
    assert len(expected) == 16
    with retroscope.open(program.with_name(trace)) as opened:
        for name in FUNCTIONS:
            outcomes = [[name, call.outcome.how, call.outcome.text] for call in opened.calls(name)]
            assert outcomes == [row for row in expected if row[0] == name]


def test_what_was_returned_and_when(program: Path) -> None:
    with retroscope.open(program.with_name("plain.db")) as trace:
        (call,) = trace.calls("caught")
        assert (call.outcome.python(), call.outcome.type) == ([2, "was odd"], "list")
        assert call.outcome.moment().frame.source == 'return [n, "was odd"]'
        raised = next(trace.calls("fail")).outcome
        assert (raised.how, raised.text) == ("raised", "")
        with pytest.raises(retroscope.ReplayError, match="it is nothing"):
            raised.python()
        with pytest.raises(retroscope.ReplayError, match="no code is running here"):
            trace.end().outcome()


def test_a_generator_ends_once_and_an_object_is_no_plain_value(recorded: Recorder, tmp_path: Path) -> None:
    path = tmp_path / "objects.py"
    path.write_text(
        "class Box:\n    pass\ndef make():\n    return Box()\n"
        "def count():\n    yield 1\n    yield 2\n    return 'over'\n"
        "make()\nlist(count())\nbegun = count()\nnext(begun)\nimport os\ndef last():\n    os._exit(0)\nlast()\n"
    )
    assert main(["record", "-q", "-o", str(tmp_path / "t.db"), str(path)]) == 0
    with retroscope.open(tmp_path / "t.db") as trace:
        made = next(trace.calls("make")).outcome
        assert made.text == "<__main__.Box>"
        with pytest.raises(retroscope.ReplayError, match="no plain value"):
            made.python()
        assert [call.outcome.text for call in trace.calls("count")] == ["'over'", ""]
        assert repr(next(trace.calls("last")).outcome) == "<not ended>"
