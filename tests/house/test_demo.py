"""The demo ends at the cause, and leaves nothing but its trace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

WALK = Path(__file__).parents[2] / "fixtures" / "demo" / "walk.py"


def test_the_demo_walks_back_to_the_cause(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, WALK, tmp_path / "demo"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    answers = done.stdout.split("(scope) ")
    assert "print request\n{'customer': 'nora', 'code': 'SPRING', 'minimum': '40', 'percent': '15'}\n" in answers
    assert [path.name for path in (tmp_path / "demo").iterdir() if path.suffix != ".db-lock"] == ["shop.db"]
