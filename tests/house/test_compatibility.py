"""docs/compatibility.md says what the stored results say, and why each module that is not exact is not."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def generator(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "tools")
    return importlib.import_module("compatibility")


def test_the_document_is_made_of_the_stored_results() -> None:
    checked = subprocess.run([sys.executable, str(ROOT / "tools" / "compatibility.py"), "--check"], check=False)
    assert checked.returncode == 0, "run make compatibility"


def test_every_module_that_is_not_exact_has_a_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    made = generator(monkeypatch)
    known = made.causes()
    unexplained = [
        (version, name, facts["state"])
        for version, result in made.load().items()
        for name, facts in made.counted(result).items()
        if facts["state"] != "exact" and not made.cause_of(known, version, name)
    ]
    assert unexplained == []


def test_at_least_250_modules_are_counted_and_95_in_100_are_exact_on_each_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = generator(monkeypatch)
    shares = {
        version: (len(made.counted(result)), len(made.exact(result)) / len(made.counted(result)))
        for version, result in made.load().items()
    }
    assert sorted(shares) == ["3.11", "3.12", "3.13"]
    assert all(counted >= 250 and share >= 0.95 for counted, share in shares.values()), shares
