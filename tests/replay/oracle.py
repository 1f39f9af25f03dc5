"""What plain Python says about a program: every line event of its own file, with its locals, taken by sys.settrace.

Run as `python oracle.py PROGRAM`: prints the list in JSON. Knows nothing of Retroscope.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any


@dataclass(frozen=True)
class Event:
    """One line about to run. `depth` counts all frames below and including this one, from the program's module on."""

    function: str
    line: int
    depth: int
    frame: int
    entered: bool
    locals: dict[str, str]


def events_of(program: Path) -> list[Event]:
    """The line events of `program` under this interpreter."""
    done = subprocess.run([sys.executable, __file__, str(program)], capture_output=True, text=True, check=True)
    return [Event(*row) for row in json.loads(done.stdout.splitlines()[-1])]


def _plain(value: object) -> str:
    """Values whose repr says it all and holds no address."""
    return repr(value) if type(value) in (int, str, float, bool, type(None), list, dict, tuple) else type(value).__name__


def _observe(path: str) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    entered: set[FrameType] = set()
    frames: list[FrameType] = []  # kept alive, so that each has a number of its own

    def depth(frame: FrameType | None) -> int:
        count = 0
        while frame is not None and frame.f_code.co_filename != __file__:
            count, frame = count + 1, frame.f_back
        return count

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        if frame.f_code.co_filename != path:
            return trace
        if event == "call":
            entered.add(frame)
            if frame not in frames:
                frames.append(frame)
        if event == "line":
            names = {k: _plain(v) for k, v in frame.f_locals.items()} if frame.f_code.co_name != "<module>" else {}
            rows.append((frame.f_code.co_qualname, frame.f_lineno, depth(frame), frames.index(frame), frame in entered, names))
            entered.discard(frame)
        return trace

    code = compile(Path(path).read_text(), path, "exec", dont_inherit=True)
    namespace = {"__name__": "__main__", "__builtins__": __builtins__, "__file__": path}
    sys.settrace(trace)
    try:
        exec(code, namespace)
    except Exception:  # the program's own failure belongs to it
        pass
    finally:
        sys.settrace(None)
    return rows


if __name__ == "__main__":
    observed = _observe(sys.argv[1])
    print(json.dumps(observed))
