"""Recordings of programs in fixtures/, each made once by the command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

FIXTURES = Path(__file__).parents[1] / "fixtures"
SCOPE = str(Path(sys.executable).parent / "scope")

Recorder = Callable[[str], Path]


def recorder(folder: Path, programs: Path = FIXTURES) -> Recorder:
    """Gives the trace of a program, by its path below `programs`, whatever its exit status. It runs in `folder`."""

    def record(program: str) -> Path:
        path = programs / program
        trace = folder / (program.replace("/", "-").removesuffix(".py") + ".db")
        if not trace.exists():
            command = [SCOPE, "record", "-q", "-o", str(trace), str(path.with_suffix(".py"))]
            subprocess.run(command, cwd=folder, capture_output=True, check=False)
        assert trace.exists(), f"{path} was not recorded"
        return trace

    return record
