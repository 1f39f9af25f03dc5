"""The program as a job of the terminal: starting it, and passing on the signals that were meant for it.

The terminal sends SIGINT, SIGQUIT and SIGTSTP to the whole process group, so the program has got them already and we
only must not die of them. What others send to us alone (kill, a supervisor) is passed on. A sender that signals the
whole group, as `timeout` does, reaches the program twice: nothing tells the two cases apart.
"""

from __future__ import annotations

import os
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
)
from _signal import signal as set_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

_SIGCONT, _SIGSTOP = 18, 19
_OUTLIVED = (SIGINT, SIGQUIT, SIGTSTP)
_PASSED_ON = (SIGTERM, SIGHUP, SIGUSR1, SIGUSR2)
_ALL = (*_OUTLIVED, *_PASSED_ON, SIGCHLD, SIGTTIN, SIGTTOU)


class Job:
    """The running program: `pid`, and `descriptor`, a pidfd that becomes readable when it dies."""

    def __init__(self, start: Callable[[int, set[int]], int], ring: int) -> None:
        """Starts it by `start(ring, signal mask)`; no signal is lost between its start and our handlers."""
        mask = {int(number) for number in pthread_sigmask(SIG_BLOCK, _ALL)}
        try:
            self.pid = start(ring, mask)
            self.descriptor = os.pidfd_open(self.pid)
            self._before = self._install()
        finally:
            pthread_sigmask(SIG_SETMASK, mask)

    def _install(self) -> dict[int, object]:
        handlers: dict[int, object] = dict.fromkeys(_OUTLIVED, lambda number, frame: None)
        handlers |= dict.fromkeys(_PASSED_ON, self._pass_on)
        handlers[SIGCHLD] = self._stop_together
        handlers[SIGTTIN] = handlers[SIGTTOU] = SIG_IGN
        before: dict[int, object] = {}
        for number, handler in handlers.items():
            if getsignal(number) != SIG_IGN:  # ignored from the beginning, as under nohup: so it stays, for both
                before[number] = set_handler(number, handler)
        return before

    def _pass_on(self, number: int, frame: object) -> None:
        pidfd_send_signal(self.descriptor, number)

    def _is_stopped(self) -> bool:
        try:
            return os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return False  # dead: it can never stop again

    def _stop_together(self, number: int, frame: object) -> None:
        """When the program has stopped, so do we, so that the shell sees it; when we are continued, so is it."""
        if self._is_stopped():
            os.kill(os.getpid(), _SIGSTOP)
            if self._is_stopped():
                pidfd_send_signal(self.descriptor, _SIGCONT)

    def reap(self) -> tuple[str, int]:
        """Waits for its end: ("exited", status) or ("signal", number). From then on signals are ours again."""
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        for number, handler in self._before.items():
            if number in (SIGCHLD, *_PASSED_ON):
                set_handler(number, handler)
        _, status = os.waitpid(self.pid, 0)
        if os.WIFSIGNALED(status):
            return "signal", os.WTERMSIG(status)
        return "exited", os.WEXITSTATUS(status)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        os.close(self.descriptor)
