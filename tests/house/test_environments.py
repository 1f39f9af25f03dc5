"""How `make` finds interpreters."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools import environments


def pretend(path: Path, answer: str, status: int = 0) -> Path:
    """An executable that answers like a Python asked for its version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{answer}'\nexit {status}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing on PATH and no pyenv; its folder."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    return tmp_path


def test_this_interpreter_is_recognised() -> None:
    assert environments.identify(sys.executable) == sys.version_info[:3]


@pytest.mark.parametrize(
    ("answer", "status"), [("PyPy 3 11 4", 0), ("CPython 3 12 1", 127), ("", 0), ("pyenv: command not found", 127)]
)
def test_what_is_no_cpython_is_passed_over(tmp_path: Path, answer: str, status: int) -> None:
    assert environments.identify(str(pretend(tmp_path / "python", answer, status))) is None


def test_an_empty_machine_has_none(machine: Path) -> None:
    assert environments.interpreters() == {}


def test_path_and_pyenv_are_both_searched(machine: Path) -> None:
    on_path = pretend(machine / "bin" / "python3", "CPython 3 11 2")
    of_pyenv = pretend(machine / "pyenv" / "versions" / "3.13.0" / "bin" / "python", "CPython 3 13 0")
    assert environments.interpreters() == {"3.11": str(on_path), "3.13": str(of_pyenv)}


def test_the_highest_patch_version_is_taken_and_unsupported_ones_are_not(machine: Path) -> None:
    pretend(machine / "bin" / "python3.12", "CPython 3 12 1")
    newer = pretend(machine / "pyenv" / "versions" / "3.12.9" / "bin" / "python", "CPython 3 12 9")
    pretend(machine / "pyenv" / "versions" / "3.10.1" / "bin" / "python", "CPython 3 10 1")
    assert environments.interpreters() == {"3.12": str(newer)}


def test_a_change_of_the_core_asks_for_a_new_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    core = tmp_path / "recorder" / "native-core"
    core.mkdir(parents=True)
    for name in ("pyproject.toml", "CMakeLists.txt", "recorder/native-core/ring.c"):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    before = environments.fingerprint([])
    assert environments.fingerprint([]) == before
    (core / "ring.c").write_text("changed")
    assert environments.fingerprint([]) != before


def test_the_environment_of_the_tools_serves_its_interpreter_until_the_core_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pyproject.toml", "CMakeLists.txt"):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    monkeypatch.setattr(environments, "prepare", lambda name, executable, settings: Path(name, executable))
    tools = tmp_path / ".venv" / "tools"
    tools.mkdir(parents=True)
    (tools / "installed.txt").write_text(environments.fingerprint(["/python3.11", "[dev]"]))
    pythons = {"3.11": "/python3.11", "3.12": "/python3.12"}
    made = Path("3.12", "/python3.12")
    assert environments.prepare_all(pythons) == {"3.11": tools / "bin" / "python", "3.12": made}
    (tmp_path / "CMakeLists.txt").write_text("changed")
    assert environments.prepare_all(pythons) == {"3.11": Path("3.11", "/python3.11"), "3.12": made}
