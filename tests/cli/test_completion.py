"""Completion scripts, run by the shells themselves."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from retroscope.cli import completion
from retroscope.cli.main import COMMANDS

from tests.cli.command import Scope

needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not here")
OPTIONS = {"record": ["--quiet", "-q"], "events": ["--json", "--name"], "completion": ["--help"]}


@pytest.fixture
def known_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests are about the scripts, not about which commands there are."""
    monkeypatch.setattr(completion, "command_options", lambda: OPTIONS)


def test_every_command_and_option_is_completed(scope: Scope) -> None:
    options = completion.command_options()
    assert set(options) == set(COMMANDS)
    assert {"--output", "--process"} <= set(options["verify"])
    for shell in ("bash", "zsh", "fish"):
        assert [name for name in COMMANDS if name not in scope("completion", shell).out] == []


def bash_completes(script: str, words: list[str], folder: Path) -> list[str]:
    quoted = " ".join(f"'{word}'" for word in words)
    ask = f"{script}\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _scope; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    answer = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, cwd=folder, check=True)
    return sorted(answer.stdout.split())


@needs_bash
@pytest.mark.usefixtures("known_commands")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["scope", ""], ["--help", "--version", "completion", "events", "record"]),
        (["scope", "re"], ["record"]),
        (["scope", "events", "--"], ["--json", "--name"]),
        (["scope", "events", "tr"], ["trace.db"]),
        (["scope", "completion", ""], ["bash", "fish", "zsh"]),
    ],
)
def test_bash(scope: Scope, tmp_path: Path, words: list[str], found: list[str]) -> None:
    (tmp_path / "trace.db").touch()
    assert bash_completes(scope("completion", "bash").out, words, tmp_path) == found


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_script_is_accepted_by_its_shell(scope: Scope, tmp_path: Path, shell: str) -> None:
    script = scope("completion", shell).out
    assert "events" in script
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not here")
    (tmp_path / "script").write_text(script)
    subprocess.run([shell, "-n", tmp_path / "script"], check=True)


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not here")
def test_fish(scope: Scope, tmp_path: Path) -> None:
    (tmp_path / "script").write_text(scope("completion", "fish").out)
    for line, found in (("scope re", "record"), ("scope completion z", "zsh"), ("scope events --n", "--name")):
        ask = f"source {tmp_path}/script; complete -C '{line}'"
        answer = subprocess.run(["fish", "-c", ask], capture_output=True, text=True, check=True, cwd=tmp_path)
        assert found in answer.stdout.split()


def test_another_shell_is_a_usage_error(scope: Scope) -> None:
    assert scope("completion", "tcsh").status == 2
