"""What plain Python says about a program: every line event of its own file, with its locals.

3.11: taken by sys.settrace; from 3.12 on by sys.monitoring, whose line events differ from those of sys.settrace in
loops of one line. Run as `python oracle.py PROGRAM`: prints the list in JSON. Knows nothing of Retroscope.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

SUSPENDABLE = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


@dataclass(frozen=True)
class Event:
    """One line about to run. `depth` counts all frames from the program's module on. `stack` numbers those of its
    own file, innermost first, so that no two frames of the run have the same number. `generators` are those of them
    that can be suspended.
    """

    function: str
    line: int
    depth: int
    stack: list[int]
    entered: bool
    locals: dict[str, str]
    generators: list[int]


def events_of(program: Path) -> list[Event]:
    """The line events of `program` under this interpreter."""
    done = subprocess.run([sys.executable, __file__, str(program)], capture_output=True, text=True, check=True)
    return [Event(*row) for row in json.loads(done.stdout.splitlines()[-1])]


def _plain(value: object) -> str:
    """Values whose repr says it all and holds no address."""
    return (
        repr(value) if type(value) in (int, str, float, bool, type(None), list, dict, tuple) else type(value).__name__
    )


class Observer:
    """Takes down the line events of one file."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.rows: list[tuple[Any, ...]] = []
        self._fresh: set[FrameType] = set()
        self._frames: list[FrameType] = []  # kept alive, so that each has a number of its own

    def entered(self, frame: FrameType) -> None:
        if frame not in self._frames:
            self._frames.append(frame)
            self._fresh.add(frame)

    def line(self, frame: FrameType, line: int) -> None:
        code = frame.f_code
        names = {} if code.co_name == "<module>" else {k: _plain(v) for k, v in frame.f_locals.items()}
        frames = list(self._stack(frame))
        own = [each for each in frames if each.f_code.co_filename == self.path]
        stack = [self._frames.index(each) for each in own]
        suspendable = [self._frames.index(each) for each in own if each.f_code.co_flags & SUSPENDABLE]
        self.rows.append((code.co_qualname, line, len(frames), stack, frame in self._fresh, names, suspendable))
        self._fresh.discard(frame)

    def _stack(self, frame: FrameType | None) -> Iterator[FrameType]:
        while frame is not None and frame.f_code.co_filename != __file__:
            yield frame
            frame = frame.f_back

    def trace(self, frame: FrameType, event: str, arg: object) -> Any:
        if frame.f_code.co_filename == self.path:
            if event == "call":
                self.entered(frame)
            if event == "line":
                self.line(frame, frame.f_lineno)
        return self.trace

    def observe_by_trace(self, code: CodeType, namespace: dict[str, Any]) -> None:
        sys.settrace(self.trace)
        try:
            exec(code, namespace)
        finally:
            sys.settrace(None)

    def observe_by_monitoring(self, code: CodeType, namespace: dict[str, Any]) -> None:
        monitoring = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        events = monitoring.events

        def on_start(code: CodeType, offset: int) -> None:
            if code.co_filename == self.path:
                self.entered(sys._getframe(1))

        def on_line(code: CodeType, line: int) -> None:
            if code.co_filename == self.path:
                self.line(sys._getframe(1), line)

        monitoring.use_tool_id(0, "oracle")
        monitoring.register_callback(0, events.PY_START, on_start)
        monitoring.register_callback(0, events.LINE, on_line)
        monitoring.set_events(0, events.PY_START | events.LINE)
        try:
            exec(code, namespace)
        finally:
            monitoring.set_events(0, 0)


def _observe(path: str) -> list[tuple[Any, ...]]:
    code = compile(Path(path).read_text(), path, "exec", dont_inherit=True)
    namespace = {"__name__": "__main__", "__builtins__": __builtins__, "__file__": path}
    observer = Observer(path)
    observe = observer.observe_by_monitoring if sys.version_info >= (3, 12) else observer.observe_by_trace
    with contextlib.suppress(Exception):  # the program's own failure belongs to it
        observe(code, namespace)
    return observer.rows


if __name__ == "__main__":
    observed = _observe(sys.argv[1])
    print(json.dumps(observed))
