"""The controller's side for these tests: Seam 4 of docs/architecture.md written down once more, from its text."""

from __future__ import annotations

import array
import os
import socket
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

HERE = Path(__file__).parent
READY, LIMIT, MATCH, END, DIVERGED, SEALED = range(6)
BREAKPOINT, DEPTH, LINE, RAISE, VISIBLE, RAISE_HERE = 1, 2, 4, 8, 0x100, 0x200
STOP, COLLECT = 0, 1
FOR_EVER = (1 << 64) - 1


@dataclass(frozen=True)
class Match:
    tick: int
    kind: int
    breakpoint: int
    depth: int
    thread: int


@dataclass(frozen=True)
class Stopped:
    reason: int
    pid: int
    tick: int
    input: int
    depth: int
    thread: int
    found: int
    matches: tuple[Match, ...]
    text: str


class Gone(Exception):
    """The process closed its socket."""


class Process:
    """One process under control: the started one, or a fork."""

    def __init__(self, control: socket.socket, pid: int) -> None:
        self.control = control
        self.pid = pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.control.close()

    def receive(self) -> Stopped:
        data = self.control.recv(1 << 20)
        if not data:
            raise Gone
        op, _, *head, count, size = struct.unpack_from("<IIIIQQIIQII", data)
        assert op == 101
        matches = tuple(Match(*struct.unpack_from("<QIIII", data, 56 + 24 * i)) for i in range(count))
        assert len(data) == 56 + 24 * count + size
        return Stopped(*head, matches, data[56 + 24 * count :].decode())

    def run(self, until: int = FOR_EVER, want: int = 0, depth: int = 0, action: int = STOP, thread: int = 0) -> Stopped:
        self.control.send(struct.pack("<IIQIIII", 1, 0, until, want, depth, action, thread))
        return self.receive()

    def fork(self) -> Process:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(60)
        self._pass(2, theirs)
        data = ours.recv(4096)
        if not data:
            raise Gone
        op, _, pid, _tick = struct.unpack("<IIIQ", data)
        assert op == 100
        return Process(ours, pid)

    def look(self, expression: str) -> str:
        """repr of what the expression gives in the innermost frame; raises Gone when the looker dies."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with ours:
            self._pass(3, theirs)
            ours.settimeout(60)
            try:
                ours.send(expression.encode())
                ours.shutdown(socket.SHUT_WR)
            except OSError as error:
                raise Gone from error
            answer = b"".join(iter(lambda: ours.recv(65536), b""))
        if not answer:
            raise Gone
        return answer.decode()

    def set_breakpoints(self, *rows: tuple[int, int, int, str]) -> None:
        """Rows of id, kind (0 line, 1 function), line, name."""
        body = b"".join(struct.pack("<IIII", i, k, n, len(s.encode())) + s.encode() for i, k, n, s in rows)
        self.control.send(struct.pack("<III", 4, 0, len(rows)) + body)

    def quit(self) -> None:
        self.control.send(struct.pack("<II", 5, 0))

    def _pass(self, op: int, descriptor: socket.socket) -> None:
        with descriptor:
            rights = array.array("i", [descriptor.fileno()])
            self.control.sendmsg([struct.pack("<II", op, 0)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])


class Debuggee(Process):
    """The first process, started and READY."""

    def __init__(self, program: Path, *arguments: str, before: tuple[str, ...] = (), **environment: str) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(60)
        with theirs:
            self.popen = subprocess.Popen(
                [*before, sys.executable, str(HERE / "debuggee.py"), str(theirs.fileno()), str(program), *arguments],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", **environment},
            )
        super().__init__(ours, self.popen.pid)
        self.ready = self.receive()

    def __exit__(self, *_: object) -> None:
        self.control.close()
        self.popen.wait(60)
