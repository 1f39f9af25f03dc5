"""The launcher as the program's keeper: what a shell's job control does to both."""

from __future__ import annotations

import os
import signal

import pytest
from retroscope.recorder.job import Job


def test_one_stop_of_the_program_stops_us_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell continues us first, and before it comes to the program there is another SIGCHLD."""
    stops: list[int] = []
    kill = os.kill

    def stopped_and_continued(pid: int, number: int) -> None:
        assert (pid, number) == (os.getpid(), signal.SIGSTOP)
        stops.append(number)
        if len(stops) == 1:
            kill(os.getpid(), signal.SIGCHLD)

    def program(ring: int, mask: set[int]) -> int:
        pid = os.fork()
        if pid == 0:
            kill(os.getpid(), signal.SIGSTOP)
            os._exit(7)
        return pid

    monkeypatch.setattr(os, "kill", stopped_and_continued)
    with Job(program, -1) as job:
        assert job.reap() == ("exited", 7)
    assert len(stops) == 1
