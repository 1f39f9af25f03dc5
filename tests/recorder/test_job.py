"""The launcher as the program's keeper: what a shell's job control does to both."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest
from retroscope.recorder.job import Job


def _stops(monkeypatch: pytest.MonkeyPatch, times: int, while_stopped: Callable[[int], None]) -> int:
    """How often we stop ourselves for a program that stops itself so many times; each time that we do,
    `while_stopped(the program's pid)` happens instead."""
    stops, started = 0, 0
    kill = os.kill

    def stop(pid: int, number: int) -> None:
        nonlocal stops
        assert (pid, number) == (os.getpid(), signal.SIGSTOP)
        stops += 1
        if stops == 1:
            while_stopped(started)

    def program(ring: int, mask: set[int]) -> int:
        nonlocal started
        started = os.fork()
        if started == 0:
            for _ in range(times):
                kill(os.getpid(), signal.SIGSTOP)
            os._exit(7)
        return started

    monkeypatch.setattr(os, "kill", stop)
    with Job(program, -1) as job:
        assert job.reap() == ("exited", 7)
    return stops


def test_one_stop_of_the_program_stops_us_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell continues us first, and before it comes to the program there is another SIGCHLD."""
    assert _stops(monkeypatch, 1, lambda pid: signal.raise_signal(signal.SIGCHLD)) == 1


def test_a_new_stop_is_not_taken_for_the_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell continues both, and the program has stopped again before we come to run."""

    def go_on_and_stop(pid: int) -> None:
        program = os.pidfd_open(pid)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        signal.pidfd_send_signal(program, signal.SIGCONT)
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(program)

    assert _stops(monkeypatch, 2, go_on_and_stop) == 2
