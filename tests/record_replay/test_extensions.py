"""Programs that use C extensions and the C library: recorded, and replayed with every file they made gone.

A program names the packages it needs. Those that the project's `dev` extra installs must be there; the program of
another is passed over where it is not installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

SCOPE = str(Path(sys.executable).parent / "scope")
ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures" / "extensions"
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/root", "LANG": "C.UTF-8"}
CLOSING = ", 0 divergences\n"


@dataclass(frozen=True)
class Outcome:
    status: int
    stdout: str
    stderr: str


def run(*command: str, cwd: Path) -> Outcome:
    done = subprocess.run(
        command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=200, stdin=subprocess.DEVNULL,
        check=False,
    )  # fmt: skip
    return Outcome(done.returncode, done.stdout, done.stderr)


def packages(program: Path) -> list[str]:
    """The packages that a program says it needs, in its second line: `# needs: numpy`."""
    return [
        name
        for line in program.read_text().splitlines()[:4]
        if line.startswith("# needs: ")
        for name in line.removeprefix("# needs: ").split()
    ]


def require(program: Path) -> None:
    with open(ROOT / "pyproject.toml", "rb") as file:
        installed = tomllib.load(file)["project"]["optional-dependencies"]["dev"]
    for package in packages(program):
        if package not in installed:
            pytest.importorskip(package)


@pytest.mark.parametrize("name", sorted(path.stem for path in FIXTURES.glob("*.py")))
def test_it_replays_exactly(name: str, tmp_path: Path) -> None:
    program = FIXTURES / f"{name}.py"
    require(program)
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(program, folder)
    recorded = run(SCOPE, "record", "-o", "../trace.db", program.name, cwd=folder)
    assert (recorded.status, recorded.stderr) == (0, "")
    assert recorded.stdout
    shutil.rmtree(folder)
    folder.mkdir()
    verified = run(SCOPE, "verify", "--output", "../trace.db", cwd=folder)
    assert verified.status == 0, verified.stderr
    replayed = (verified.stdout + verified.stderr).splitlines(keepends=True)
    assert replayed.pop().endswith(CLOSING)
    assert "".join(replayed) == recorded.stdout
    assert not os.listdir(folder)
