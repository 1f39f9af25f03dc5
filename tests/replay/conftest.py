"""Recordings of the programs in fixtures/walks, each made once by the command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from retroscope.replay.timeline import Timeline

PROGRAMS = Path(__file__).parents[2] / "fixtures" / "walks"
SCOPE = str(Path(sys.executable).parent / "scope")

Recorder = Callable[[str], Path]


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorder:
    """The trace of a program, by the program's name."""
    folder = tmp_path_factory.mktemp("traces")

    def record(name: str) -> Path:
        trace = folder / f"{name}.db"
        if not trace.exists():
            command = [SCOPE, "record", "-q", "-o", str(trace), str(PROGRAMS / f"{name}.py")]
            subprocess.run(command, capture_output=True, check=False)
        assert trace.exists(), f"{name} was not recorded"
        return trace

    return record


@pytest.fixture(scope="module")
def walked(recorded: Recorder) -> Iterator[Timeline]:
    """A timeline of walked.py that the tests of a module share; each begins by going somewhere."""
    with Timeline.open(recorded("walked")) as timeline:
        yield timeline
