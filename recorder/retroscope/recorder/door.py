"""Where further processes of the recorded program get their rings, and tell what only they can know.

A socket in the abstract namespace: its name is in every ring, no process keeps a descriptor that the program could
see. Seam 1 of docs/architecture.md describes the messages. Only processes of our own user are let in. Linux only.
"""

from __future__ import annotations

import os
import struct
from _socket import AF_UNIX, SCM_RIGHTS, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_SEQPACKET, SOL_SOCKET, socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_MESSAGE = struct.Struct("<IiQQ")  # kind, number, first, second
_CREDENTIALS = struct.Struct("3i")  # pid, user, group
_QUEUE = 4096
_SO_PASSCRED, _SCM_CREDENTIALS = 16, 2
_FORKING, _FORKED, _ENDED, _STARTED, _SAW_START = 1, 2, 3, 4, 5
_LONGEST = 1 << 18  # bytes of a message


class Forking:
    """The trace's process `parent`, whose stream holds so much, is about to fork: the child needs a ring."""

    __slots__ = ("length", "parent", "records")

    def __init__(self, parent: int, length: int, records: int) -> None:
        self.parent = parent
        self.length = length
        self.records = records


class Forked:
    """The child is there, with this pid."""

    __slots__ = ("pid",)

    def __init__(self, pid: int) -> None:
        self.pid = pid


class Ended:
    """The process `pid` ended so: `status` as of waitpid."""

    __slots__ = ("pid", "status")

    def __init__(self, pid: int, status: int) -> None:
        self.pid = pid
        self.status = status


class Started:
    """A Python with this pid was started by the trace's process `parent` and needs a ring; `facts` describe it."""

    __slots__ = ("facts", "parent", "pid")

    def __init__(self, pid: int, parent: int, facts: dict[str, object]) -> None:
        self.pid = pid
        self.parent = parent
        self.facts = facts


class SawStart:
    """The process `pid` was started, and will come as Started."""

    __slots__ = ("pid",)

    def __init__(self, pid: int) -> None:
        self.pid = pid


Said = Forking | Forked | Ended | Started | SawStart


class Visitor:
    """Somebody who has knocked."""

    def __init__(self, connection: socket) -> None:
        self._connection = connection
        self.descriptor = connection.fileno()

    def hear(self) -> Said | None:
        """The next message; None when there is nothing more to come. BlockingIOError: nothing as yet."""
        try:
            data, extra, _, _ = self._connection.recvmsg(_LONGEST, 64)
        except ConnectionError:
            return None
        sender = next((each for level, kind, each in extra if (level, kind) == (SOL_SOCKET, _SCM_CREDENTIALS)), b"")
        if len(data) < _MESSAGE.size or len(sender) != _CREDENTIALS.size:
            return None
        pid, user, _ = _CREDENTIALS.unpack(sender)
        if user != os.getuid():
            return None
        kind, number, first, second = _MESSAGE.unpack_from(data)
        if kind == _FORKING:
            return Forking(number, first, second)
        if kind == _STARTED:
            facts = _facts(data[_MESSAGE.size :])
            return Started(pid, number, facts) if facts is not None else None
        if kind == _SAW_START:
            return SawStart(number)
        return Forked(pid) if kind == _FORKED else Ended(number, first) if kind == _ENDED else None

    def give(self, ring: int) -> None:
        """Sends the descriptor of a ring; one that has died in the meantime needs none."""
        try:  # noqa: SIM105 - contextlib takes a millisecond to import
            self._connection.sendmsg([b"\0"], [(SOL_SOCKET, SCM_RIGHTS, struct.pack("i", ring))])
        except ConnectionError:
            pass

    def close(self) -> None:
        self._connection.close()


def _facts(data: bytes) -> dict[str, object] | None:
    """What a process says of itself; None when that makes no sense."""
    import marshal

    try:
        said = marshal.loads(data)
    except (ValueError, EOFError, TypeError):
        return None
    return said if isinstance(said, dict) and all(isinstance(name, str) for name in said) else None


class Door:
    """The listening socket; `name` is to be put into rings, `descriptor` becomes readable when somebody knocks."""

    def __init__(self) -> None:
        self.name = b"retroscope-" + os.urandom(16).hex().encode()
        self._socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC)
        self._socket.setsockopt(SOL_SOCKET, _SO_PASSCRED, 1)  # those who are accepted inherit it
        self._socket.bind(b"\0" + self.name)
        self._socket.listen(_QUEUE)
        self.descriptor = self._socket.fileno()

    def close(self) -> None:
        """From now on nobody is let in: processes go on unrecorded."""
        self._socket.close()

    def knocking(self) -> Iterator[Visitor]:
        """Everybody who has knocked since."""
        while True:
            try:
                descriptor, _ = self._socket._accept()  # type: ignore[attr-defined]  # what socket.accept is made of
            except BlockingIOError:
                return
            except ConnectionError:
                continue  # gone already
            connection = socket(fileno=descriptor)
            connection.setblocking(False)
            yield Visitor(connection)
