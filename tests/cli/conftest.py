from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import Scope
from tests.trace.making import make_trace


@pytest.fixture
def scope(capsys: pytest.CaptureFixture[str]) -> Scope:
    return Scope(capsys)


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A hand-made trace, `trace.db`, in the current directory."""
    monkeypatch.chdir(tmp_path)
    make_trace(tmp_path / "trace.db")
    return "trace.db"
