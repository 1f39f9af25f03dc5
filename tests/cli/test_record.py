"""The command line of `scope record`: its own options first, everything else the program's."""

from __future__ import annotations

import pytest
from retroscope.cli.record import UsageError, parse

from tests.cli.command import Scope

WHAT = ("kind", "target", "args", "trace", "chaos", "quiet")


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["app.py"], ("script", "app.py", [], "trace.db", False, False)),
        (["app.py", "-o", "x", "--chaos"], ("script", "app.py", ["-o", "x", "--chaos"], "trace.db", False, False)),
        (["-o", "t", "app.py", "--", "-q"], ("script", "app.py", ["--", "-q"], "t", False, False)),
        (["-ot", "app.py"], ("script", "app.py", [], "t", False, False)),
        (["--trace=t", "--quiet", "--chaos", "app.py"], ("script", "app.py", [], "t", True, True)),
        (["--trace", "t", "app.py"], ("script", "app.py", [], "t", False, False)),
        (["-qo", "t", "app.py"], ("script", "app.py", [], "t", False, True)),
        (["--", "-odd.py", "x"], ("script", "-odd.py", ["x"], "trace.db", False, False)),
        (["-m", "package", "-o", "x"], ("module", "package", ["-o", "x"], "trace.db", False, False)),
        (["-qmpackage", "-m"], ("module", "package", ["-m"], "trace.db", False, True)),
        (["-c", "pass", "-c"], ("code", "pass", ["-c"], "trace.db", False, False)),
        (["-cpass"], ("code", "pass", [], "trace.db", False, False)),
        (["-c", ""], ("code", "", [], "trace.db", False, False)),
        (["-q", "-o", "t", "-m", "m"], ("module", "m", [], "t", False, True)),
    ],
)
def test_what_belongs_to_whom(words: list[str], what: tuple[object, ...]) -> None:
    line = parse(words)
    assert line is not None
    assert line.most_runs is None
    found = {name: getattr(line.options, name) for name in WHAT}
    found["chaos"] = found["chaos"] is not None
    assert tuple(found.values()) == what


@pytest.mark.parametrize(
    ("words", "most_runs", "seed"),
    [
        (["--until-failure", "app.py"], 0, None),
        (["--until-failure=20", "--chaos=7", "app.py"], 20, 7),
        (["--chaos=0", "app.py"], None, 0),
        (["--chaos=18446744073709551615", "-m", "app"], None, 18446744073709551615),
    ],
)
def test_how_often_and_how_chaotic(words: list[str], most_runs: int | None, seed: int | None) -> None:
    line = parse(words)
    assert line is not None
    assert (line.most_runs, line.options.chaos) == (most_runs, seed)


def test_chaos_without_a_seed_draws_one() -> None:
    seeds = {line.options.chaos for line in (parse(["--chaos", "app.py"]) for _ in range(5)) if line}
    assert len(seeds) > 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "name a program"),
        (["--"], "name a program"),
        (["-o"], "-o needs a value"),
        (["-o", "t"], "name a program"),
        (["-m"], "-m needs a value"),
        (["-c"], "-c needs a value"),
        (["--until-failure=0", "app.py"], "would run nothing"),
        (["--until-failure=", "app.py"], "is not a number"),
        (["--until-failure=many", "app.py"], "is not a number"),
        (["--chaos=-1", "app.py"], "is not a number"),
        (["--chaos=18446744073709551616", "app.py"], "is not a number"),
        (["--quiet=yes", "app.py"], "no option --quiet=yes"),
        (["--frobnicate", "app.py"], "no option --frobnicate"),
        (["-x", "app.py"], "no option -x"),
        (["-"], "standard input"),
        (["python", "app.py"], "leave out 'python'"),
        (["/opt/bin/python3.11", "app.py"], "leave out"),
    ],
)
def test_mistakes(words: list[str], says: str, scope: Scope) -> None:
    with pytest.raises(UsageError, match=says):
        parse(words)
    answer = scope("record", *words)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize("words", [["-h"], ["--help"], ["-q", "--help", "app.py"]])
def test_help(words: list[str], scope: Scope) -> None:
    assert parse(words) is None
    assert scope("record", *words).status == 0


def test_an_empty_name_for_the_trace(scope: Scope) -> None:
    assert scope("record", "-o", "", "-c", "pass").status == 2
