"""Recordings for the tests of the Python API, each made once by the command."""

from __future__ import annotations

import pytest

from tests.recordings import FIXTURES, Recorder, recorder

__all__ = ["FIXTURES", "Recorder"]


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorder:
    """The trace of a program, by its path below fixtures/."""
    return recorder(tmp_path_factory.mktemp("traces"))
