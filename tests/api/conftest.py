"""Recordings for the tests of the Python API, each made once by the command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

FIXTURES = Path(__file__).parents[2] / "fixtures"
SCOPE = str(Path(sys.executable).parent / "scope")

Recorder = Callable[[str], Path]


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorder:
    """The trace of a program, by its path below fixtures/."""
    folder = tmp_path_factory.mktemp("traces")

    def record(program: str) -> Path:
        trace = folder / (program.replace("/", "-").removesuffix(".py") + ".db")
        if not trace.exists():
            command = [SCOPE, "record", "-q", "-o", str(trace), str(FIXTURES / program)]
            subprocess.run(command, cwd=folder, capture_output=True, check=False)
        assert trace.exists(), f"{program} was not recorded"
        return trace

    return record
