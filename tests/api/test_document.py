"""docs/api.md says what happens: its examples are run."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

from tests.api.conftest import Recorder

DOCUMENT = Path(__file__).parents[2] / "docs" / "api.md"


def test_the_examples(recorded: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "orders.db").symlink_to(recorded("api/orders.py"))
    monkeypatch.chdir(tmp_path)
    result = doctest.testfile(str(DOCUMENT), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert result.failed == 0
    assert result.attempted >= 30
