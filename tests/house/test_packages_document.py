"""docs/packages.md is what the stored results say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_made_from_the_stored_results() -> None:
    command = [sys.executable, str(ROOT / "tools" / "compatibility_packages.py"), "--check"]
    assert subprocess.run(command, check=False).returncode == 0, "run `make packages`"
