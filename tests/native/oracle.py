"""What plain Python says about a program's line events: `oracle.py PROGRAM`, JSON lines on standard output.

Each line event of the process, numbered as ticks are, by sys.settrace (3.11) or sys.monitoring (3.12 and later) with
callbacks in Python. For events in the program's own file: [tick, line, depth with the module as 1, qualified name,
locals, whether it is the frame's first event].
"""

from __future__ import annotations

import json
import sys
from types import CodeType, FrameType
from typing import Any

PLAIN = (int, str, float, bool, bytes, type(None))


class Oracle:
    def __init__(self, code: CodeType) -> None:
        self.code = code
        self.tick = 0
        self.rows: list[list[Any]] = []
        self.frames: list[FrameType] = []  # kept, so that no other frame takes the number
        self.seen: set[int] = set()

    def depth(self, frame: FrameType) -> int:
        depth = 1
        while frame.f_code is not self.code:
            assert frame.f_back
            frame = frame.f_back
            depth += 1
        return depth

    def line(self, frame: FrameType, line: int) -> None:
        if not self.tick and frame.f_code is not self.code:
            return
        self.tick += 1
        if frame.f_code.co_filename == self.code.co_filename:
            plain = {k: repr(v) for k, v in frame.f_locals.items() if type(v) in PLAIN and not k.startswith("__")}
            first = id(frame) not in self.seen
            self.seen.add(id(frame))
            self.frames.append(frame)
            self.rows.append([self.tick, line, self.depth(frame), frame.f_code.co_qualname, plain, first])

    def trace(self, frame: FrameType, event: str, _: object) -> Any:
        if event == "line":
            self.line(frame, frame.f_lineno)
        return self.trace

    def run(self) -> None:
        names: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
        try:
            if sys.version_info >= (3, 12):
                monitoring = sys.monitoring
                monitoring.use_tool_id(4, "oracle")
                monitoring.register_callback(
                    4, monitoring.events.LINE, lambda _code, line: self.line(sys._getframe(1), line)
                )
                # On 3.13 a class body's first line event depends on whether starts are monitored too.
                monitoring.register_callback(4, monitoring.events.PY_START, lambda *_: None)
                monitoring.set_events(4, monitoring.events.LINE | monitoring.events.PY_START)
                try:
                    exec(self.code, names)
                finally:
                    monitoring.set_events(4, 0)
            else:
                sys.settrace(self.trace)
                try:
                    exec(self.code, names)
                finally:
                    sys.settrace(None)
        except Exception:
            return


def main() -> None:
    path = sys.argv[1]
    with open(path, encoding="utf-8") as file:
        oracle = Oracle(compile(file.read(), path, "exec"))
    oracle.run()
    for row in oracle.rows:
        print(json.dumps(row))


main()
