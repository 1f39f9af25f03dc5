"""One DAP conversation: messages in, messages out, over debugpy's stream of JSON packets.

debugpy's `JsonMessageChannel` is not used: it ends the process when a handler raises, and its failed responses
carry no `error` object, so a client could not show them.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from debugpy.common import log as debugpy_log
from debugpy.common.messaging import JsonIOError, JsonIOStream, NoMoreMessages
from retroscope.dap_adapter.failure import RequestFailed

debugpy_log.stderr.levels = ()  # it would print its own tracebacks; what matters to a user is said by us
MAX_HEADER_LINE = 200
ERROR_ID = 1
"""The protocol wants a number on every structured error; ours are told apart by their sentences."""


class NotDap(Exception):
    """What the client sent is not the Debug Adapter Protocol."""


class PacketReader:
    """The reading end as `JsonIOStream` wants it, strict about headers.

    A line that is no DAP header ends the conversation: so a web page that posts to the loopback port is refused at
    its request line, and a stream that ends within a header does not make `JsonIOStream` spin.
    """

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw

    def readline(self) -> bytes:
        line = self._raw.readline(MAX_HEADER_LINE)
        if not line:
            raise EOFError
        if line != b"\r\n" and not (line.startswith(b"Content-") and line.endswith(b"\r\n")):
            raise NotDap(f"not a header of the Debug Adapter Protocol: {line[:40]!r}")
        return line

    def read(self, size: int) -> bytes:
        return self._raw.read(size)

    def close(self) -> None:
        """Nothing: closing a buffered stream waits for the thread that reads from it, which waits for the client."""


class Channel:
    """Sends from any thread, one message at a time, numbered in the order sent; reads from one thread."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO, cleanup: Callable[[], None], log: MessageLog | None) -> None:
        self._stream: Any = JsonIOStream(PacketReader(reader), writer, "client", cleanup)  # type: ignore[arg-type]
        self._sending = threading.Lock()
        self._next = 1
        self._log = log
        self._broken = False

    @classmethod
    def over_socket(cls, connection: socket.socket, log: MessageLog | None) -> Channel:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def hang_up() -> None:
            with contextlib.suppress(OSError):  # the client was faster
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

        return cls(connection.makefile("rb"), connection.makefile("wb"), hang_up, log)

    def messages(self) -> Iterator[dict[str, Any]]:
        """Every message until the client goes away; raises NotDap when it speaks something else."""
        while True:
            try:
                message = self._stream.read_json()
            except NoMoreMessages as end:
                if isinstance(end.__context__, NotDap):
                    raise end.__context__ from None
                return
            except (OSError, ValueError) as error:
                raise NotDap(str(error)) from None
            if not isinstance(message, dict):
                raise NotDap(f"a message is an object, not {type(message).__name__}")
            if self._log:
                self._log.write("received", message)
            yield message

    def event(self, name: str, body: Mapping[str, Any] | None = None) -> None:
        self._send({"type": "event", "event": name}, body)

    def respond(self, request: Mapping[str, Any], body: Mapping[str, Any] | None = None) -> None:
        self._send(_response_to(request, success=True), body)

    def refuse(self, request: Mapping[str, Any], failure: RequestFailed) -> None:
        """`message` and `error.format` say the same: some clients show one, some the other."""
        sentence = str(failure)
        error: dict[str, Any] = {"id": ERROR_ID, "format": sentence, "showUser": failure.show_user}
        if "{" in sentence:  # else the client would take what is in braces for the name of a variable
            error |= {"format": "{sentence}", "variables": {"sentence": sentence}}
        self._send({**_response_to(request, success=False), "message": sentence}, {"error": error})

    def close(self) -> None:
        with self._sending:
            self._broken = True
            with contextlib.suppress(OSError):  # closing flushes, and the client may have gone before it read all
                self._stream.close()

    def _send(self, message: dict[str, Any], body: Mapping[str, Any] | None) -> None:
        if body:
            message["body"] = body
        with self._sending:
            if self._broken:
                return
            message = {"seq": self._next, **message}
            self._next += 1
            if self._log:
                self._log.write("sent", message)
            try:
                self._stream.write_json(message)
            except JsonIOError:
                self._broken = True  # the client is gone; reading ends too, and with it the session


class MessageLog:
    """Writes each message of a session as one JSON line: `{"time": …, "direction": …, "message": …}`."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._writing = threading.Lock()

    def write(self, direction: str, message: Mapping[str, Any]) -> None:
        entry = {"time": round(time.time(), 6), "direction": direction, "message": message}
        with self._writing:
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()


def _response_to(request: Mapping[str, Any], *, success: bool) -> dict[str, Any]:
    return {
        "type": "response",
        "request_seq": request["seq"],
        "success": success,
        "command": request["command"],
    }
