"""A small client of the Debug Adapter Protocol on a program's standard input and output, for measuring adapters."""

from __future__ import annotations

import json
import queue
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Message = dict[str, Any]
PATIENCE = 120.0
"""Seconds that an answer may take."""


class AdapterFailed(Exception):
    """It ended, refused a request, or did not answer in time."""


class DebugClient:
    """Starts an adapter and talks to it; `close` ends it."""

    def __init__(self, command: Sequence[str | Path], folder: Path) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 -- closed by `close`
        self._process = subprocess.Popen(
            [str(word) for word in command], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._errors,
        )  # fmt: skip
        self._messages: queue.Queue[Message | None] = queue.Queue()
        self._sent = 0
        threading.Thread(target=self._read, daemon=True).start()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._errors.close()

    def send(self, command: str, **arguments: object) -> int:
        """Sends a request and returns its number."""
        assert self._process.stdin is not None
        self._sent += 1
        request = {"seq": self._sent, "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(request).encode()
        try:
            self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
            self._process.stdin.flush()
        except OSError as error:
            raise AdapterFailed(self._complaint()) from error
        return self._sent

    def ask(self, command: str, **arguments: object) -> Message:
        """The body of the response to a request."""
        number = self.send(command, **arguments)
        answer = self.wait(lambda message: message.get("request_seq") == number)
        if not answer.get("success"):
            raise AdapterFailed(f"{command}: {answer.get('message')}")
        return answer.get("body") or {}

    def event(self, *names: str) -> Message:
        """The next event of one of these names."""
        return self.wait(lambda message: message.get("event") in names)

    def wait(self, wanted: Callable[[Message], bool]) -> Message:
        while True:
            try:
                message = self._messages.get(timeout=PATIENCE)
            except queue.Empty:
                raise AdapterFailed(f"no answer within {PATIENCE:.0f} s") from None
            if message is None:
                raise AdapterFailed(self._complaint())
            if wanted(message):
                return message

    def _complaint(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"the adapter ended: {lines[-1] if lines else 'without a word'}"

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while True:
            size = 0
            while line := stream.readline().strip():
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    size = int(value)
            body = stream.read(size)
            if not size or len(body) < size:
                self._messages.put(None)
                return
            self._messages.put(json.loads(body))


def standing_at(client: DebugClient, program: Path, line: int, **request: object) -> int:
    """Opens a recording with a breakpoint and goes there; the number of the thread that stands there."""
    client.ask("initialize", adapterID="benchmark", linesStartAt1=True, columnsStartAt1=True, pathFormat="path")
    kind = str(request.pop("kind"))
    client.send(kind, program=str(program), **request)
    client.event("initialized")
    client.ask("setBreakpoints", source={"path": str(program)}, breakpoints=[{"line": line}])
    client.ask("configurationDone")
    stopped = client.event("stopped", "terminated")
    while stopped.get("event") == "stopped" and stopped["body"].get("reason") != "breakpoint":
        client.send("continue", threadId=stopped["body"].get("threadId", 1))
        stopped = client.event("stopped", "terminated")
    if stopped.get("event") != "stopped":
        raise AdapterFailed("the breakpoint was not reached")
    return int(stopped["body"].get("threadId", 1))


def step_back(client: DebugClient, thread: int) -> int:
    """One step back; the line where it stands then."""
    client.send("stepBack", threadId=thread)
    if client.event("stopped", "terminated").get("event") != "stopped":
        raise AdapterFailed("stepping back ended the session")
    frames = client.ask("stackTrace", threadId=thread, levels=1)["stackFrames"]
    return int(frames[0]["line"])
