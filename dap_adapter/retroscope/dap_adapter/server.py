"""Serving clients: on standard input and output, or one after another on a loopback port."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import BinaryIO

from retroscope.dap_adapter.breakpoints import Breakpoints
from retroscope.dap_adapter.channel import Channel, MessageLog
from retroscope.dap_adapter.completion import Completion
from retroscope.dap_adapter.console import Console
from retroscope.dap_adapter.data_breakpoints import DataBreakpoints
from retroscope.dap_adapter.evaluation import Evaluation
from retroscope.dap_adapter.goto import Goto
from retroscope.dap_adapter.inspection import Inspection
from retroscope.dap_adapter.lifecycle import Lifecycle, OpenTimeline
from retroscope.dap_adapter.motion import Motion
from retroscope.dap_adapter.output import RecordedOutput
from retroscope.dap_adapter.recording import RecordCommand, record_command
from retroscope.dap_adapter.session import Session
from retroscope.dap_adapter.sources import Sources
from retroscope.replay.api import TimelineApi


def open_timeline(trace: Path, process: int) -> TimelineApi:
    """Imported late: answering `initialize` must not wait for the replay's imports."""
    from retroscope.replay.timeline import Timeline

    return Timeline.open(trace, process or None)


class Server:
    """How sessions are made; the two functions are the doors to recording and replay, and tests put others in."""

    def __init__(
        self,
        open_timeline: OpenTimeline = open_timeline,
        record_command: RecordCommand = record_command,
        log: MessageLog | None = None,
    ) -> None:
        self._open_timeline = open_timeline
        self._record_command = record_command
        self._log = log

    def serve_stdio(self) -> None:
        """Serves one client on this process's standard input and output; returns when it has gone.

        The two descriptors are taken away from everybody else first: a stray print, or a child that reads its
        input, would break the protocol.
        """
        reader = _taken(0, os.open(os.devnull, os.O_RDONLY), "rb")
        writer = _taken(1, os.dup(2), "wb")
        self._serve(Channel(reader, writer, lambda: None, self._log))

    def serve_port(self, port: int) -> None:
        """Serves one client after another on 127.0.0.1 until the process is ended. Port 0: a free one is chosen.

        Raises OSError when the port is taken.
        """
        with socket.create_server(("127.0.0.1", port), backlog=1) as listener:
            chosen = listener.getsockname()[1]
            os.write(1, f"listening on {chosen}\n".encode())  # one write: readers wait for the whole line
            while True:
                connection, _address = listener.accept()
                self._serve(Channel.over_socket(connection, self._log))

    def _serve(self, channel: Channel) -> None:
        session = Session(channel)
        sources = Sources(session)
        breakpoints = Breakpoints(session, sources)
        inspection = Inspection(session, sources)
        output = RecordedOutput(session)
        motion = Motion(session, breakpoints, inspection, output)
        console = Console(session, motion, inspection)
        lifecycle = Lifecycle(session, motion, output, sources, self._open_timeline, self._record_command)
        for family in (sources, breakpoints, inspection, Evaluation(session, inspection, console)):
            session.add(family)
        session.add(Completion(session, inspection))
        session.add(DataBreakpoints(session, breakpoints, inspection))
        session.add(Goto(session, sources, motion))
        session.add(motion, motion.urgent())
        session.add(lifecycle, lifecycle.urgent())
        session.run()


def _taken(descriptor: int, replacement: int, mode: str) -> BinaryIO:
    """The stream behind a descriptor, which from now on leads elsewhere; children do not inherit the stream."""
    private = os.dup(descriptor)
    os.dup2(replacement, descriptor)
    os.close(replacement)
    return open(private, mode)  # type: ignore[return-value]
