"""Recording a program for `launch`: `scope record` as a child, its output sent to the client while it runs."""

from __future__ import annotations

import codecs
import os
import select
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from retroscope.dap_adapter.configuration import Launch
from retroscope.dap_adapter.failure import RequestFailed

OutputSink = Callable[[str, str], None]
"""Takes ("stdout" or "stderr", text)."""
RecordCommand = Callable[[Launch, Path], Sequence[str]]
"""The command line that records a program into a trace file."""

SCOPE = """\
import sys
sys.path = [path for path in sys.path if path]
from retroscope.cli.main import main
sys.exit(main())
"""
"""The command `scope` of any interpreter. Its own path is without the working directory, where a module may lie that is
called as one of ours; `-P` would do the same, but the recorder hands the interpreter's options on to the program."""
CHUNK = 65536
"""Bytes of output in one event, about."""
PIECE_GAP = 0.01
GATHERING = 0.1
"""Seconds without output that end a piece, and seconds after which it is shown in any case."""
PIPES_GRACE = 1.0
"""Seconds to wait for the end of the output after the end of the program: a daemon it left behind may hold the pipe."""
STOP_PATIENCE = 1.0
"""Seconds between asking a program to stop and the next, stronger, way of asking."""


def record_command(launch: Launch, trace: Path) -> list[str]:
    return [launch.python, "-c", SCOPE, "record", "-o", str(trace), *launch.target]


def run_command(launch: Launch) -> list[str]:
    """The program without recording, for the protocol's noDebug."""
    return [launch.python, *launch.target]


def new_trace_path(launch: Launch) -> Path:
    """The trace's file: as configured, or in a new folder of its own that stays when the session is over."""
    if launch.trace is not None:
        return launch.trace
    stem = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in Path(launch.name).stem)
    return Path(tempfile.mkdtemp(prefix="retroscope-")) / f"{stem}.db"


class Recording:
    """A child process group. Started by the constructor; `wait` is for one thread, the stops are for any."""

    def __init__(self, command: Sequence[str], launch: Launch, sink: OutputSink) -> None:
        """Raises RequestFailed when the child cannot be started."""
        try:
            self._child = subprocess.Popen(
                command,
                cwd=launch.cwd,
                env=child_environment(launch.env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise RequestFailed(f"{command[0]} cannot be started: {error.strerror}", show_user=True) from None
        assert self._child.stdout is not None and self._child.stderr is not None
        self.last_error_line = ""
        self._stopping = False
        self._pumps = [
            _pump(self._child.stdout, lambda text: sink("stdout", text)),
            _pump(self._child.stderr, lambda text: self._keep_error(text, sink)),
        ]

    def ends_within(self, seconds: float) -> bool:
        try:
            self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def wait(self) -> int:
        """The exit status as a shell reports it: 128 + N for signal N."""
        status = self._child.wait()
        for pump in self._pumps:
            pump.join(PIPES_GRACE)
        return status if status >= 0 else 128 - status

    @property
    def is_over(self) -> bool:
        return self._child.poll() is not None

    def ask_to_stop(self) -> None:
        """As Ctrl-C in a terminal: the program may clean up, and what was recorded stays."""
        self._signal(signal.SIGINT)

    def stop(self) -> None:
        """Ends the program whatever it does; returns at once, the asking goes on in the background."""
        if self._stopping:
            return
        self._stopping = True
        threading.Thread(target=self._insist, name="stop the program", daemon=True).start()

    def _insist(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            self._signal(number)
            try:
                self._child.wait(STOP_PATIENCE)
            except subprocess.TimeoutExpired:
                continue
            return

    def _signal(self, number: signal.Signals) -> None:
        """`scope record` passes signals on; sent to its whole group, they would reach the program twice."""
        if self._child.poll() is not None:
            return
        if number == signal.SIGKILL:
            os.killpg(self._child.pid, number)
        else:
            self._child.send_signal(number)

    def _keep_error(self, text: str, sink: OutputSink) -> None:
        lines = text.strip().splitlines()
        if lines:
            self.last_error_line = lines[-1]
        sink("stderr", text)


def child_environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    """The adapter's environment with the user's changes.

    PYTHONUNBUFFERED, because a program that writes to a pipe would else keep its output back until the end.
    """
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    for name, value in changes.items():
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = value
    return environment


def _pump(pipe: IO[bytes], sink: Callable[[str], None]) -> threading.Thread:
    thread = threading.Thread(target=_drain, args=(pipe, sink), name="program output", daemon=True)
    thread.start()
    return thread


def _gathered(descriptor: int) -> bytes:
    """The next output; what a program writes piece by piece is put together, so that clients show lines as lines."""
    data = os.read(descriptor, CHUNK)
    deadline = time.monotonic() + GATHERING
    while data and len(data) < CHUNK:
        patience = min(PIECE_GAP, deadline - time.monotonic())
        if patience <= 0 or not select.select([descriptor], [], [], patience)[0]:
            break
        more = os.read(descriptor, CHUNK)
        if not more:
            break
        data += more
    return data


def _drain(pipe: IO[bytes], sink: Callable[[str], None]) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    descriptor = pipe.fileno()
    while data := _gathered(descriptor):
        text = decoder.decode(data)
        if text:
            sink(text)
    rest = decoder.decode(b"", final=True)
    if rest:
        sink(rest)
    pipe.close()
