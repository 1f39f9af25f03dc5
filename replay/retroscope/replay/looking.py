"""The controller's side of the inspector: one `Looker` is one throw-away fork that answers about one moment."""

from __future__ import annotations

import json
import marshal
import os
import signal
import socket
import time
from typing import Any, Self

from retroscope.replay.moments import ReplayError
from retroscope.replay.process import ReplayProcess

_MOST_ANSWER = 1 << 26
PATIENCE = 10.0
"""Seconds that an expression of the user's may take; variables and the stack never come near."""


class LookFailed(ReplayError):
    """The question has no answer; the message says why."""


class LookTimedOut(LookFailed):
    pass


class Looker:
    """A fork of `process` in which the inspector serves. `close` ends it, also in the middle of an endless loop."""

    def __init__(self, process: ReplayProcess, stream: socket.socket | None = None) -> None:
        """`stream`: where an inspector serves already, in a process of the caller's; then `end` lets it go on."""
        self.tick = process.tick
        self._stream = stream or process.look()
        self._pid = 0
        pid = self._receive(time.monotonic() + PATIENCE)
        if not isinstance(pid, int):
            self._stream.close()
            raise LookFailed("the inspector did not introduce itself")
        self._pid = pid

    def ask(self, *request: object, patience: float = PATIENCE) -> Any:
        """The inspector's answer; a looker that fails or takes longer than `patience` seconds is closed."""
        body = marshal.dumps(request)  # type: ignore[arg-type]
        try:
            self._stream.sendall(len(body).to_bytes(4, "little") + body)
        except OSError as error:
            self.close()
            raise LookFailed("the process that looked at this moment is gone") from error
        answer = self._receive(time.monotonic() + patience)
        if not (isinstance(answer, list) and len(answer) == 2):
            self.close()
            raise LookFailed("the inspector's answer cannot be read")
        verdict, result = answer
        if verdict != "ok":
            raise LookFailed(str(result))
        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        return self._stream.fileno() < 0

    def end(self) -> None:
        """Lets the process go on in which an inspector serves in place."""
        self._stream.close()

    def close(self) -> None:
        """Kills it: it may be busy. Nothing that it holds is worth a farewell."""
        if self.closed:
            return
        try:
            self._stream.setblocking(False)
            alive = bool(self._stream.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            alive = True
        except OSError:
            alive = False
        if alive and self._pid > 0:
            os.kill(self._pid, signal.SIGKILL)
        self._stream.close()

    def _receive(self, deadline: float) -> object:
        size = int.from_bytes(self._exactly(4, deadline), "little")
        if size > _MOST_ANSWER:
            self.close()
            raise LookFailed("the inspector's answer is too long")
        body = self._exactly(size, deadline)
        try:
            return json.loads(body.decode("utf-8", "surrogatepass"))
        except ValueError as error:
            self.close()
            raise LookFailed("the inspector's answer cannot be read") from error

    def _exactly(self, size: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < size:
            self._stream.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                part = self._stream.recv(size - len(data))
            except TimeoutError as error:
                self.close()
                raise LookTimedOut("it took too long and was stopped; the recording is unharmed") from error
            except OSError as error:
                part = b""
                cause: OSError | None = error
            else:
                cause = None
            if not part:
                self.close()
                raise LookFailed("looking at this ended the throw-away process; the recording is unharmed") from cause
            data += part
        return bytes(data)


def asked(process: ReplayProcess, *question: object) -> Any:
    """The answer to one question, of a looker for it alone."""
    with Looker(process) as looker:
        return looker.ask(*question)


class Lookers:
    """The lookers of the current moment, and the numbers under which front ends hold on to what they show.

    One viewer serves the panes; every evaluation has a looker of its own, of which the last few are kept, so that their
    results can be expanded.
    """

    _KEPT = 4

    def __init__(self) -> None:
        self._viewer: Looker | None = None
        self._evaluations: list[Looker] = []
        self._references: list[tuple[Looker, int]] = []

    def viewer(self, process: ReplayProcess) -> Looker:
        if self._viewer is None or self._viewer.closed:
            self._viewer = Looker(process)
        return self._viewer

    def evaluation(self, process: ReplayProcess) -> Looker:
        """A fresh one; what an earlier evaluation did to its own is not seen here."""
        looker = Looker(process)
        self._evaluations.append(looker)
        while len(self._evaluations) > self._KEPT:
            self._evaluations.pop(0).close()
        return looker

    def hold(self, looker: Looker, reference: int) -> int:
        """The front ends' number of `reference` in `looker`; 0 stays 0."""
        if not reference:
            return 0
        self._references.append((looker, reference))
        return len(self._references)

    def held(self, number: int) -> tuple[Looker, int]:
        if not 0 < number <= len(self._references):
            raise LookFailed("this value belongs to another moment")
        looker, reference = self._references[number - 1]
        if looker.closed:
            raise LookFailed("this value was let go; evaluate it again")
        return looker, reference

    def close(self) -> None:
        """The moment is over, and with it every reference."""
        for looker in [self._viewer, *self._evaluations]:
            if looker is not None:
                looker.close()
        self._viewer = None
        self._evaluations = []
        self._references = []
