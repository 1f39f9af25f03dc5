"""The command as a whole: help, mistakes, exit statuses, and what it never shows."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from retroscope.cli.main import COMMANDS

from tests.cli.command import Scope


def test_help_shows_every_command_with_an_example(scope: Scope) -> None:
    answer = scope("--help")
    assert (answer.status, answer.err) == (0, "")
    for name, about in COMMANDS.items():
        assert f"\n  {name} " in answer.out
        assert about.summary in answer.out
        assert about.example in answer.out
    assert scope("help").out == answer.out


@pytest.mark.parametrize("module", ["retroscope", "retroscope.cli"])
def test_it_runs_as_a_module_too(scope: Scope, module: str) -> None:
    answer = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True, check=True)
    assert answer.stdout == scope("--version").out


def test_nothing_to_do_is_a_usage_error(scope: Scope) -> None:
    answer = scope()
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith("usage: scope COMMAND")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_describes_itself(scope: Scope, command: str) -> None:
    answer = scope(command, "--help")
    assert answer.status == 0
    assert f"usage: scope {command}" in answer.out
    assert re.search("^examples?: ", answer.out, re.MULTILINE)
    assert scope("help", command).out == answer.out


@pytest.mark.parametrize("words", [["help"], ["record", "--help"], ["verify", "--help"]])
def test_help_is_shown_where_only_ascii_can_be(words: list[str]) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "retroscope.cli", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage: scope" in done.stdout


@pytest.mark.parametrize("words", [["info"], ["events"], ["help"]])
def test_a_standard_output_that_is_closed_is_no_error(words: list[str], trace: str) -> None:
    command = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "retroscope.cli", *words]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_count_below_zero_is_a_usage_error(scope: Scope, trace: str) -> None:
    answer = scope("events", "--limit", "-1", trace)
    assert (answer.status, answer.out) == (2, "")
    assert "--limit: a number from 0 on is needed, not '-1'" in answer.err


def test_version(scope: Scope) -> None:
    assert re.fullmatch(r"scope \S.* \(Python 3\.\d+\.\d+\S*\)\n", scope("--version").out)


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("recrod", "did you mean `scope record`?"),
        ("evens", "did you mean `scope events`?"),
        ("app.py", "scope record app.py"),
        ("xyzzy", "`scope --help` lists the commands"),
    ],
)
def test_a_mistyped_command(scope: Scope, typed: str, hint: str) -> None:
    answer = scope(typed)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith(f"scope: there is no command '{typed}'; ")
    assert hint in answer.err
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize(
    "words", [["info", "x", "y"], ["info", "--jsno", "x"], ["events", "t", "--from", "one"], ["doctor", "x"]]
)
def test_usage_errors_are_one_line(scope: Scope, words: list[str]) -> None:
    answer = scope(*words)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.count("\n") == 1
    assert f"see `scope {words[0]} --help`" in answer.err


@pytest.mark.parametrize("command", ["info", "events"])
@pytest.mark.parametrize(
    ("content", "status"), [(None, 1), (b"", 4), (b"text" * 5000, 4), (b"\xde\xc0\xef\xbe" * 5000, 4)]
)
def test_what_is_no_trace(scope: Scope, tmp_path: Path, command: str, content: bytes | None, status: int) -> None:
    path = tmp_path / "file.db"
    if content is not None:
        path.write_bytes(content)
    answer = scope(command, str(path))
    assert (answer.status, answer.out) == (status, "")
    assert answer.err.startswith(f"scope: {path}")
    assert answer.err.count("\n") == 1


def test_a_mistake_of_ours_is_a_sentence_unless_asked_for(
    scope: Scope, trace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import retroscope.cli.info

    monkeypatch.setattr(retroscope.cli.info, "describe", lambda *args, **options: 1 / 0)
    answer = scope("info", trace)
    assert answer.status == 70
    assert answer.err.count("\n") == 1
    assert "ZeroDivisionError" in answer.err
    assert "SCOPE_DEBUG=1" in answer.err
    monkeypatch.setenv("SCOPE_DEBUG", "1")
    assert "Traceback" in scope("info", trace).err


def run(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "retroscope.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload,no-any-return]


def test_a_reader_that_goes_away_is_no_error(trace: str) -> None:
    pipe, end = os.pipe()
    fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, 4096)  # so that it is still writing when the reader goes
    command = [sys.executable, "-m", "retroscope.cli", "events", trace]
    with subprocess.Popen(command, stdout=end, stderr=subprocess.PIPE) as process:
        os.close(end)
        os.read(pipe, 10)
        os.close(pipe)
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_a_terminal_that_knows_only_ascii(trace: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    answer = run("events", trace, env=environment)
    assert (answer.returncode, answer.stderr) == (0, "")


HEAVY = ("argparse", "json", "typing", "dataclasses", "enum", "re", "inspect", "subprocess", "lmdb", "zstandard")


def test_nothing_heavy_is_imported_before_the_program_starts(tmp_path: Path) -> None:
    """Where `posix_spawn` is called, only light modules may be loaded."""
    code = (
        "import os, sys\n"
        "before = set(sys.modules)\n"
        "def spawn(*args, **options):\n"
        f"    print(sorted((set(sys.modules) - before) & set({HEAVY!r})))\n"
        "    os._exit(0)\n"
        "os.posix_spawn = spawn\n"
        "from retroscope.cli.main import main\n"
        "main(['record', '-o', 'trace.db', '-c', 'pass'])\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert answer.stdout == "[]\n", answer.stderr


def test_commands_of_the_documentation_exist() -> None:
    page = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text()
    documented = set(re.findall(r"^## scope (\w+)$", page, re.MULTILINE))
    assert documented == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_options_are_documented(command: str) -> None:
    from retroscope.cli.completion import RECORD_OPTIONS

    page = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text()
    if command == "record":
        options = RECORD_OPTIONS
    else:
        import argparse

        module = __import__(f"retroscope.cli.{command}", fromlist=["add_arguments"])
        parser = argparse.ArgumentParser(add_help=False)
        module.add_arguments(parser)
        options = [option for action in parser._actions for option in action.option_strings]
    assert [option for option in options if option not in ("--help", "-h") and option not in page] == []
