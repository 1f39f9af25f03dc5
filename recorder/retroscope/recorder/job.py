"""The program as a job of the terminal: starting it, and passing on the signals that were meant for it.

What the terminal sends (SIGINT, SIGQUIT, SIGTSTP, SIGHUP) goes to the whole process group, so the program has got it
already and we only must not die of it. What a process sends to us, by kill or as a supervisor, is passed on: siginfo
tells the two apart. Nothing tells whether a process sent it to us alone or, as `timeout` does, to the whole group;
in the second case it reaches the program twice.
"""

from __future__ import annotations

import os
import time
from _signal import (  # type: ignore[import-not-found]  # the signal module would import enum
    SIG_BLOCK,
    SIG_IGN,
    SIG_SETMASK,
    SIGCHLD,
    SIGHUP,
    SIGINT,
    SIGQUIT,
    SIGTERM,
    SIGTSTP,
    SIGTTIN,
    SIGTTOU,
    SIGUSR1,
    SIGUSR2,
    getsignal,
    pidfd_send_signal,
    pthread_sigmask,
    sigtimedwait,
)
from _signal import signal as set_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

_SIGCONT, _SIGSTOP = 18, 19
_PASSED_ON = (SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2)
_ALL = (*_PASSED_ON, SIGCHLD, SIGTSTP, SIGTTIN, SIGTTOU)
_SECONDS_FOR_ALL = 0.02  # a shell continues a whole process group, one process after the other


class Job:
    """The running program: `pid`, and `descriptor`, a pidfd that becomes readable when it dies."""

    def __init__(self, start: Callable[[int, set[int]], int], ring: int) -> None:
        """Starts it by `start(ring, signal mask)`; no signal is lost between its start and our readiness."""
        self._mask = {int(number) for number in pthread_sigmask(SIG_BLOCK, _ALL)}
        self._handlers: dict[int, object] = {}
        self.told_to_end = False  # has somebody sent what usually ends a program?
        try:
            self.pid = start(ring, self._mask)
            self.descriptor = os.pidfd_open(self.pid)
            self._install()
        except BaseException:
            pthread_sigmask(SIG_SETMASK, self._mask)
            raise
        pthread_sigmask(SIG_SETMASK, self._mask | set(_PASSED_ON))

    def _install(self) -> None:
        wanted = {SIGTSTP: lambda number, frame: None, SIGCHLD: self._stop_together, SIGTTIN: SIG_IGN, SIGTTOU: SIG_IGN}
        for number, handler in wanted.items():
            if getsignal(number) != SIG_IGN:  # ignored from the beginning: so it stays, for both of us
                self._handlers[number] = set_handler(number, handler)

    def pass_on(self) -> None:
        """Passes on what has come; to be called now and then, and harmless when the program is dead."""
        while (arrived := sigtimedwait(_PASSED_ON, 0)) is not None:
            self.told_to_end |= arrived.si_signo not in (SIGUSR1, SIGUSR2)
            if arrived.si_code <= 0:  # from a process; the kernel's own, above 0, went to the whole group
                self._send(arrived.si_signo)

    def interrupted(self) -> bool:
        """After the program's end: has anything come that asks us to end too?"""
        arrived = sigtimedwait(_PASSED_ON, 0) is not None
        self.told_to_end |= arrived
        return arrived

    def _send(self, number: int) -> None:
        try:
            pidfd_send_signal(self.descriptor, number)
        except ProcessLookupError:
            return  # it has ended in the meantime

    def _has_stopped(self) -> bool:
        """Has it stopped since the last time this was asked?"""
        try:
            return os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOHANG) is not None
        except ChildProcessError:
            return False  # dead: it can never stop again

    def _rests(self) -> bool:
        with open(f"/proc/{self.pid}/stat", "rb") as file:  # ours until it is reaped
            return file.read().rpartition(b") ")[2].startswith(b"T")

    def _stop_together(self, number: int, frame: object) -> None:
        """When the program has stopped, so do we, so that the shell sees it; when we are continued, so is it."""
        stopped = self._has_stopped()
        while stopped:
            os.kill(os.getpid(), _SIGSTOP)
            time.sleep(_SECONDS_FOR_ALL)
            stopped = self._has_stopped()
            if not stopped and self._rests():
                self._send(_SIGCONT)

    def reap(self) -> tuple[str, int]:
        """Waits for its end, passing signals on: ("exited", status) or ("signal", number)."""
        import select

        poller = select.poll()
        poller.register(self.descriptor, select.POLLIN)
        while not poller.poll(50):
            self.pass_on()
        _, status = os.waitpid(self.pid, 0)
        if os.WIFSIGNALED(status):
            return "signal", os.WTERMSIG(status)
        return "exited", os.WEXITSTATUS(status)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.pass_on()  # what came too late is forgotten, not obeyed by us
        for number, handler in self._handlers.items():
            set_handler(number, handler)
        pthread_sigmask(SIG_SETMASK, self._mask)
        os.close(self.descriptor)
