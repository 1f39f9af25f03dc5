"""docs/compatibility.md says what the stored results say, and why each module that is not exact is not."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("compatibility", ROOT / "tools" / "compatibility.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_document_is_made_of_the_stored_results() -> None:
    checked = subprocess.run([sys.executable, str(ROOT / "tools" / "compatibility.py"), "--check"], check=False)
    assert checked.returncode == 0, "run make compatibility"


def test_every_module_that_is_not_exact_has_a_cause() -> None:
    made = generator()
    known = made.causes()
    unexplained = [
        (version, name, facts["state"])
        for version, result in made.load().items()
        for name, facts in made.counted(result).items()
        if facts["state"] != "exact" and not made.cause_of(known, version, name)
    ]
    assert unexplained == []


def test_at_least_250_modules_are_counted_on_each_python_and_95_in_100_are_exact() -> None:
    made = generator()
    shares = {
        version: (len(made.counted(result)), len(made.exact(result)) / len(made.counted(result)))
        for version, result in made.load().items()
    }
    assert sorted(shares) == ["3.11", "3.12", "3.13"]
    assert all(counted >= 250 and share >= 0.95 for counted, share in shares.values()), shares
