"""`scope doctor`: says what is missing, with the remedy."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from retroscope.cli import doctor

from tests.cli.command import Scope


def test_a_good_machine(scope: Scope) -> None:
    answer = scope("doctor")
    lines = answer.out.splitlines()
    assert len(lines) == len(doctor.CHECKS) + 1
    if answer.status == 0:  # the machine of the tests may lack something: then it must say so
        assert all(line.startswith("ok       ") for line in lines[:-1])
        assert lines[-1] == "this machine can record and replay"
    else:
        assert any(line.startswith("MISSING  ") for line in lines)


def check(scope: Scope, name: str, *says: str) -> None:
    answer = scope("doctor")
    assert answer.status == 1
    (line,) = [line for line in answer.out.splitlines() if line.startswith(f"MISSING  {name}: ")]
    assert [text for text in says if text not in line] == []
    assert "checks failed" in answer.out.splitlines()[-1]


def test_an_unsupported_interpreter(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 15, 0, "final", 0))
    check(scope, "interpreter", "install Retroscope under CPython 3.11, 3.12, 3.13")


@pytest.mark.parametrize("name", ["lmdb", "zstandard", "cloudpickle"])
def test_a_missing_package(scope: Scope, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    check(scope, name, f"pip install {name}")


def test_a_core_that_does_not_load(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    import retroscope.recorder

    monkeypatch.delattr(retroscope.recorder, "_core", raising=False)
    monkeypatch.setitem(sys.modules, "retroscope.recorder._core", None)
    check(scope, "native core", "pip install --force-reinstall retroscope")
    check(scope, "ring", "pip install --force-reinstall retroscope")


def test_no_room(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ENOUGH_SPACE", 1 << 60)
    check(scope, "temporary files", "TMPDIR")
    check(scope, "traces", "scope record -o")


def test_a_folder_that_is_gone(scope: Scope, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    check(scope, "traces", "work in another directory")


def test_no_memory_files(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.memfd_create", refuse)
    monkeypatch.setattr("os.pidfd_open", refuse)
    monkeypatch.setattr("os.fork", refuse)
    check(scope, "memory files", "memfd_create fails")
    check(scope, "ring", "the ring cannot be made")
    check(scope, "pidfd", "Linux 5.3")
    check(scope, "fork", "ulimit -u")
