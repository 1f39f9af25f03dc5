"""Calls and lines in the Trace Event Format, which ui.perfetto.dev and chrome://tracing open.

A call is a pair of B and E events on the track of its thread, a line (where wanted) another pair inside it, a raise an
instant. https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU describes the format.
"""

from __future__ import annotations

import json
from typing import IO

from retroscope.cli.exported_calls import Open, Values
from retroscope.replay.wall_clock import WallClock
from retroscope.trace import Process


class Perfetto:
    """A sink that writes to `file` as it goes; `close` writes the end."""

    def __init__(self, file: IO[str], process: Process, clock: WallClock | None, lines: bool) -> None:
        self._file = file
        self._process = process.id
        self._clock = clock
        self._lines = lines
        self._threads: set[int] = set()
        self._on_line: dict[int, list[bool]] = {}
        """Thread → for each call under way whether a line of it is."""
        file.write('{"displayTimeUnit": "ms",\n')
        file.write(f'"otherData": {json.dumps({"recorded by": "Retroscope", "time base": time_base(clock)})},\n')
        file.write('"traceEvents": [\n')
        name = f"process {process.id}: {' '.join(process.argv)}"
        self._file.write(json.dumps(self._meta("process_name", 0, name)))

    def close(self) -> None:
        self._file.write("\n]}\n")

    def entered(self, tick: int, thread: int, call: Open) -> None:
        if thread not in self._threads:
            self._threads.add(thread)
            name = "main thread" if thread == 1 else f"thread {thread}"
            self._file.write(",\n" + json.dumps(self._meta("thread_name", thread, name)))
        self._on_line.setdefault(thread, []).append(False)
        function = call.function
        facts: dict[str, object] = {"file": function.path, "line": function.line, "tick": tick}
        if call.resumed:
            facts["resumed"] = True
        elif call.arguments:
            facts["arguments"] = call.arguments
        self._write("B", tick, thread, function.name, "user" if function.visible else "library", facts)

    def left(self, tick: int, thread: int, call: Open, how: str, value: str | None) -> None:
        if self._on_line[thread].pop():
            self._write("E", tick, thread)
        facts: dict[str, object] = {"ended": how}
        if value is not None:
            facts["value"] = value
        self._write("E", tick, thread, args=facts)

    def ran(self, tick: int, thread: int, call: Open, line: int, changed: Values) -> None:
        if not self._lines:
            return
        if self._on_line[thread][-1]:
            self._write("E", tick, thread)
        self._on_line[thread][-1] = True
        facts: dict[str, object] = {"tick": tick, **({"changed": changed} if changed else {})}
        self._write("B", tick, thread, f"line {line}", "line", facts)

    def raised(self, tick: int, thread: int, call: Open, exception: str) -> None:
        self._write("i", tick, thread, f"raise {exception}", "raise", {"tick": tick}, s="t")

    def _write(
        self, phase: str, tick: int, thread: int, name: str = "", category: str = "",
        args: dict[str, object] | None = None, **more: object,
    ) -> None:  # fmt: skip
        event: dict[str, object] = {"ph": phase, "pid": self._process, "tid": thread, "ts": self._time(tick), **more}
        if name:
            event["name"], event["cat"] = name, category
        if args:
            event["args"] = args
        self._file.write(",\n" + json.dumps(event))

    def _meta(self, what: str, thread: int, name: str) -> dict[str, object]:
        return {"ph": "M", "pid": self._process, "tid": thread, "name": what, "args": {"name": name}}

    def _time(self, tick: int) -> float:
        """Microseconds."""
        return round(self._clock.seconds(tick) * 1e6, 3) if self._clock else float(tick)


def time_base(clock: WallClock | None) -> str:
    """What times in an export are, in a sentence."""
    if clock is None:
        return "one microsecond is one tick (one line of Python): when the process ended is not recorded"
    readings = f", and by {clock.readings} readings of the clock" if clock.readings else ""
    return (
        f"time since {clock.began:.6f} (Unix time), when the process started; known by its start and end{readings}, "
        "and in between spread evenly over the lines of Python that ran"
    )
