"""Calls and lines as JSON lines, one fact each. The fields: docs/command-line.md, `scope export`."""

from __future__ import annotations

import json
from typing import IO

from retroscope.cli.export_perfetto import time_base
from retroscope.cli.exported_calls import Open, Values
from retroscope.replay.wall_clock import WallClock
from retroscope.trace import Process


class JsonLines:
    """A sink that writes to `file` as it goes."""

    def __init__(self, file: IO[str], process: Process, clock: WallClock | None, words: list[str]) -> None:
        """`words`: the process's command line, fit to be shown."""
        self._file = file
        self._clock = clock
        self._write({
            "fact": "process", "process": process.id, "pid": process.pid, "argv": words, "python": process.python,
            "started": process.started, "finished": process.finished, "ended": process.ended,
            "time_base": time_base(clock),
        })  # fmt: skip

    def close(self) -> None:
        """Nothing is left to be written."""

    def entered(self, tick: int, thread: int, call: Open) -> None:
        function = call.function
        fact = self._fact("resume" if call.resumed else "enter", tick, thread, call)
        fact |= {"caller": call.caller, "function": function.name, "file": function.path, "line": function.line}
        if not call.resumed:
            fact["arguments"] = call.arguments
        self._write(fact)

    def left(self, tick: int, thread: int, call: Open, how: str, value: str | None) -> None:
        self._write(self._fact("leave", tick, thread, call) | {"how": how, "value": value})

    def ran(self, tick: int, thread: int, call: Open, line: int, changed: Values) -> None:
        fact = self._fact("line", tick, thread, call) | {"file": call.function.path, "line": line}
        self._write(fact | {"changed": changed} if changed else fact)

    def raised(self, tick: int, thread: int, call: Open, exception: str) -> None:
        self._write(self._fact("raise", tick, thread, call) | {"exception": exception})

    def _fact(self, kind: str, tick: int, thread: int, call: Open) -> dict[str, object]:
        fact: dict[str, object] = {"fact": kind, "tick": tick, "thread": thread, "frame": call.frame}
        if self._clock:
            fact["time"] = round(self._clock.seconds(tick), 9)
        return fact

    def _write(self, fact: dict[str, object]) -> None:
        self._file.write(json.dumps(fact) + "\n")
