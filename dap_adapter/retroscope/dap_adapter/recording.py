"""Recording a program for `launch`: `scope record` as a child, its output sent to the client while it runs."""

from __future__ import annotations

import codecs
import itertools
import operator
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
try:
    import ctypes
    ctypes.CDLL(None).prctl(1, 15)
except (ImportError, AttributeError, OSError):
    pass
sys.exit(main())
"""
"""The command `scope` of any interpreter. Its own path is without the working directory, where a module may lie that is
called as one of ours; `-P` would do the same, but the recorder hands the interpreter's options on to the program.
When the adapter dies it gets SIGTERM (PR_SET_PDEATHSIG, Linux), which it passes on: an editor that is closed kills the
adapter, and nobody else would end a server that is being recorded."""
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
        pipes = {self._child.stdout: "stdout", self._child.stderr: "stderr"}
        self._pump = threading.Thread(target=self._forward, args=(pipes, sink), name="program output", daemon=True)
        self._pump.start()

    def ends_within(self, seconds: float) -> bool:
        try:
            self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def wait(self) -> int:
        """The exit status as a shell reports it: 128 + N for signal N."""
        status = self._child.wait()
        self._pump.join(PIPES_GRACE)
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

    def _forward(self, pipes: Mapping[IO[bytes], str], sink: OutputSink) -> None:
        """Both streams by one thread: what was written first is shown first."""
        decoders = {pipe: codecs.getincrementaldecoder("utf-8")("replace") for pipe in pipes}
        still_open = list(pipes)
        while still_open:
            for pipe, pieces in itertools.groupby(_gathered(still_open), operator.itemgetter(0)):
                text = "".join(decoders[pipe].decode(data, final=not data) for _, data in pieces)
                if pipes[pipe] == "stderr" and text.strip():
                    self.last_error_line = text.strip().splitlines()[-1]
                if text:
                    sink(pipes[pipe], text)
        for pipe in pipes:
            pipe.close()


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


def _gathered(still_open: list[IO[bytes]]) -> list[tuple[IO[bytes], bytes]]:
    """The next output, in order; what a program writes piece by piece comes together: clients show lines as lines.

    A pipe that has ended is given with nothing, and taken off the list.
    """
    gathered: list[tuple[IO[bytes], bytes]] = []
    ready = select.select(still_open, [], [])[0]
    deadline = time.monotonic() + GATHERING
    room = CHUNK
    while ready and room > 0:
        for pipe in ready:
            data = os.read(pipe.fileno(), CHUNK)
            gathered.append((pipe, data))
            room -= len(data)
            if not data:
                still_open.remove(pipe)
        patience = min(PIECE_GAP, deadline - time.monotonic())
        ready = select.select(still_open, [], [], patience)[0] if still_open and patience > 0 else []
    return gathered
