"""Recordings of the programs in fixtures/walks, each made once by the command."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from retroscope.replay.index_building import IndexBuilder
from retroscope.replay.recording import Recording
from retroscope.replay.timeline import Timeline

from tests.recordings import FIXTURES, SCOPE, Recorder, recorder

__all__ = ["PROGRAMS", "SCOPE", "Recorded", "Recorder", "index_whole"]

PROGRAMS = FIXTURES / "walks"


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorder:
    """The trace of a program, by the program's name."""
    return recorder(tmp_path_factory.mktemp("traces"), PROGRAMS)


Recorded = Callable[[str], tuple[Path, Path]]
"""Records a program, given as its text: the paths of the program and of its trace."""


@pytest.fixture
def record_text(tmp_path: Path) -> Recorded:
    """The program is in the test's own folder, whatever its exit status."""

    def record(text: str) -> tuple[Path, Path]:
        program, trace = tmp_path / "program.py", tmp_path / "t.db"
        program.write_text(text)
        subprocess.run([SCOPE, "record", "-q", "-o", str(trace), str(program)], check=False)
        assert trace.exists(), "it was not recorded"
        return program, trace

    return record


def index_whole(trace: Path) -> None:
    """Builds the whole index of a trace."""
    recording = Recording(str(trace))
    try:
        assert IndexBuilder(recording, workers=1).build().complete
    finally:
        recording.close()


@pytest.fixture(scope="module")
def walked(recorded: Recorder) -> Iterator[Timeline]:
    """A timeline of walked.py that the tests of a module share; each begins by going somewhere."""
    with Timeline.open(recorded("walked")) as timeline:
        yield timeline
