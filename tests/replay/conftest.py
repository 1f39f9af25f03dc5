"""Recordings of the programs beside this file, each made once by the command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from retroscope.replay.timeline import Timeline

PROGRAMS = Path(__file__).parent / "programs"
SCOPE = str(Path(sys.executable).parent / "scope")

Recorder = Callable[[str], Path]


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorder:
    """The trace of a program, by the program's name."""
    folder = tmp_path_factory.mktemp("traces")

    def record(name: str) -> Path:
        trace = folder / f"{name}.db"
        if not trace.exists():
            subprocess.run([SCOPE, "record", "-q", "-o", str(trace), str(PROGRAMS / f"{name}.py")], capture_output=True)
        assert trace.exists(), f"{name} was not recorded"
        return trace

    return record


@pytest.fixture(scope="module")
def walked(recorded: Recorder) -> Iterator[Timeline]:
    """A timeline of walked.py that the tests of a module share; each begins by going somewhere."""
    with Timeline.open(recorded("walked")) as timeline:
        yield timeline
