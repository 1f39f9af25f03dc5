"""Recordings of the programs in fixtures/walks, each made once by the command."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from retroscope.replay.timeline import Timeline

from tests.recordings import FIXTURES, SCOPE, Recorder, recorder

__all__ = ["PROGRAMS", "SCOPE", "Recorder"]

PROGRAMS = FIXTURES / "walks"


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorder:
    """The trace of a program, by the program's name."""
    return recorder(tmp_path_factory.mktemp("traces"), PROGRAMS)


@pytest.fixture(scope="module")
def walked(recorded: Recorder) -> Iterator[Timeline]:
    """A timeline of walked.py that the tests of a module share; each begins by going somewhere."""
    with Timeline.open(recorded("walked")) as timeline:
        yield timeline
