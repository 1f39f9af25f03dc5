"""A client for tests, with its own framing. It holds every message, both ways, against the protocol's schema."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from tests.dap import schema

ROOT = Path(__file__).parents[2]
PATIENCE = 20.0
"""Seconds after which an answer is not awaited any more."""

Message = dict[str, Any]


class Refused(Exception):
    """The adapter answered a request with `success: false`."""

    def __init__(self, response: Message) -> None:
        super().__init__(response["message"])
        self.response = response
        self.show_user: bool = response["body"]["error"].get("showUser", False)


class Client:
    """One conversation. Events are kept in order, and `wait_for` takes the next of a kind."""

    def __init__(self, reader: IO[bytes], writer: IO[bytes]) -> None:
        self._reader = reader
        self._writer = writer
        self._next = 1
        self._last_received = 0
        self._responses: dict[int, Message] = {}
        self._events: list[Message] = []
        self._order: list[str] = []
        self._arrived = threading.Condition()
        self._broken: Exception | None = None
        self._over = False
        threading.Thread(target=self._receive, daemon=True).start()

    @property
    def order(self) -> list[str]:
        """What was received, in order: "event NAME" and "response COMMAND"."""
        with self._arrived:
            return list(self._order)

    def send(self, command: str, **arguments: Any) -> int:
        """Sends a request and does not wait; its number."""
        message: Message = {"seq": self._next, "type": "request", "command": command}
        if arguments or command in schema.OURS:
            message["arguments"] = arguments
        schema.check(message)
        self._next += 1
        self.send_raw(message)
        return int(message["seq"])

    def send_raw(self, message: Any) -> None:
        """Sends anything at all, for tests of clients that misbehave."""
        body = json.dumps(message).encode()
        self._writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._writer.flush()

    def request(self, command: str, **arguments: Any) -> Message:
        """The body of the response; raises Refused."""
        return self.answer(self.send(command, **arguments))

    def answer(self, number: int) -> Message:
        response = self._await(lambda: self._responses.pop(number, None), f"a response to request {number}")
        if not response["success"]:
            raise Refused(response)
        body: Message = response.get("body", {})
        return body

    def wait_for(self, event: str) -> Message:
        """The body of the next event of a kind; events of other kinds stay."""
        return self._await(lambda: self._take(event), f"the event {event}")

    def waiting(self, event: str) -> list[Message]:
        """The bodies of all events of a kind that have come and were not taken; takes them."""
        with self._arrived:
            bodies = []
            while (body := self._take(event)) is not None:
                bodies.append(body)
            return bodies

    def output(self, category: str) -> str:
        """What has come of one category of output since the last call."""
        with self._arrived:
            chosen = [one for one in self._events if one["event"] == "output" and one["body"]["category"] == category]
            self._events = [one for one in self._events if one not in chosen]
            return "".join(one["body"]["output"] for one in chosen)

    def wait_for_output(self, category: str, text: str) -> None:
        """Until what has come of one category of output since the last call is `text`; pieces come as they like."""
        written = ""

        def complete() -> Message | None:
            nonlocal written
            written += self.output(category)
            return {} if written == text else None

        self._await(complete, f"the output {text!r}")

    def wait_for_end(self) -> None:
        """Until the adapter has closed its end."""
        self._await(lambda: {} if self._over else None, "the end of the conversation")

    def _take(self, event: str) -> Message | None:
        for index, message in enumerate(self._events):
            if message["event"] == event:
                body: Message = self._events.pop(index).get("body", {})
                return body
        return None

    def _await(self, look: Any, what: str) -> Message:
        deadline = time.monotonic() + PATIENCE
        with self._arrived:
            while (found := look()) is None:
                if self._broken:
                    raise self._broken
                if self._over:
                    raise AssertionError(f"the adapter went away before {what}; it had sent {self._order}")
                if not self._arrived.wait(deadline - time.monotonic()):
                    raise AssertionError(f"{what} did not come; the adapter had sent {self._order}")
        message: Message = found
        return message

    def _receive(self) -> None:
        try:
            while (message := self._read()) is not None:
                self._take_in(message)
        except Exception as error:
            self._broken = error
        with self._arrived:
            self._over = True
            self._arrived.notify_all()

    def _read(self) -> Message | None:
        header = self._reader.readline()
        if not header:
            return None
        name, _, size = header.partition(b": ")
        assert name == b"Content-Length" and self._reader.readline() == b"\r\n", f"not a DAP header: {header!r}"
        message: Message = json.loads(self._reader.read(int(size)))
        return message

    def _take_in(self, message: Message) -> None:
        schema.check(message)
        assert message["seq"] == self._last_received + 1, f"messages are numbered one by one: {message}"
        self._last_received += 1
        with self._arrived:
            if message["type"] == "event":
                self._events.append(message)
                self._order.append("event " + message["event"])
            else:
                self._responses[message["request_seq"]] = message
                self._order.append("response " + message["command"])
            self._arrived.notify_all()


class Adapter:
    """A running adapter with a client on its standard streams; the client disconnects when the block ends."""

    def __init__(self, command: Sequence[str], **environment: str) -> None:
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdin and self.process.stdout
        self.client = Client(self.process.stdout, self.process.stdin)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        try:
            self.leave()
        finally:
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
                if pipe:
                    pipe.close()

    def leave(self) -> str:
        """Disconnects if still connected; what the adapter wrote to its standard error."""
        if self.process.poll() is None and self.process.stdin and not self.process.stdin.closed:
            if "response disconnect" not in self.client.order and not self.client._over:
                self.client.request("disconnect")
            self.client.wait_for_end()
        assert self.process.stderr
        self.process.wait(PATIENCE)
        return self.process.stderr.read().decode() if not self.process.stderr.closed else ""


class PortAdapter:
    """An adapter that listens on a port it chose."""

    def __init__(self, command: Sequence[str]) -> None:
        self.process = subprocess.Popen([*command, "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE)
        assert self.process.stdout
        line = self.process.stdout.readline().decode()
        assert line.startswith("listening on "), line
        self.port = int(line.removeprefix("listening on "))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    def connect(self) -> tuple[socket.socket, Client]:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        return connection, Client(connection.makefile("rb"), connection.makefile("wb"))


FAKE = [sys.executable, str(Path(__file__).parent / "fake_adapter.py")]
REAL_WITHOUT_CLI = [sys.executable, "-c", "from retroscope.dap_adapter.server import Server; Server().serve_stdio()"]
REAL = [sys.executable, "-m", "retroscope.cli", "dap"]


def begin(client: Client, **initialize: Any) -> Message:
    """Sends `initialize` as VS Code does; the capabilities."""
    return client.request(
        "initialize",
        **{
            "clientID": "tests",
            "adapterID": "retroscope",
            "linesStartAt1": True,
            "columnsStartAt1": True,
            "pathFormat": "path",
            "supportsVariableType": True,
            "supportsVariablePaging": True,
            **initialize,
        },
    )


def start(client: Client, request: str, **configuration: Any) -> Message:
    """From `initialize` to the first stop, whose `stopped` body it returns."""
    begin(client)
    client.request(request, **configuration)
    client.wait_for("initialized")
    client.request("setExceptionBreakpoints", filters=["uncaught"])
    client.request("configurationDone")
    return client.wait_for("stopped")


def top(client: Client, thread: int = 1) -> tuple[str, int]:
    """(function, line) of the innermost frame."""
    frame = client.request("stackTrace", threadId=thread, startFrame=0, levels=1)["stackFrames"][0]
    return frame["name"], frame["line"]


def line_of(program: Path, marker: str) -> int:
    """The number of the line marked `# @marker`."""
    for number, line in enumerate(program.read_text().splitlines(), 1):
        if line.endswith(f"# @{marker}"):
            return number
    raise AssertionError(f"{program} has no line marked @{marker}")
