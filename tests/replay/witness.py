"""What plain Python does in a program: each line of its own file with the value of an expression there, each call of
its functions, each exception where it is raised, and what it prints; on demand with a change made at one of the lines.

Run as `python witness.py PROGRAM ANSWER [EXPRESSION [NUMBER STATEMENT]]`: writes a JSON object to the file ANSWER.
Knows nothing of Retroscope.
"""

from __future__ import annotations

import ctypes
import dis
import io
import json
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any

_RAISE = dis.opmap["RAISE_VARARGS"]
_LOOPS = dis.opmap["FOR_ITER"], dis.opmap["SEND"]
_LEAVING = dis.opmap["RETURN_VALUE"], dis.opmap["YIELD_VALUE"], dis.opmap.get("RETURN_GENERATOR")


@dataclass(frozen=True)
class Line:
    """A line about to run. `text`: str() of the expression there; `entered`: the first line of its frame."""

    function: str
    line: int
    thread: int
    text: str
    entered: bool


@dataclass(frozen=True)
class Witnessed:
    """`raises`: (index of the line, what, where) of each exception in the program's own file, where it begins."""

    lines: list[Line]
    raises: list[tuple[int, str, str]]
    output: list[str]
    uncaught: str | None


def witness(program: Path, folder: Path, expression: str = "", change: tuple[int, str] | None = None) -> Witnessed:
    """What happens under this interpreter. `change`: before the line with this index a statement is executed there."""
    answer = folder / "answer.json"
    more = [expression, *([] if change is None else [str(change[0]), change[1]])]
    command = [sys.executable, __file__, str(program), str(answer), *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    assert done.returncode == 0, done.stderr
    found = json.loads(answer.read_text())
    return Witnessed(
        lines=[Line(*row) for row in found["lines"]],
        raises=[(at, what, where) for at, what, where in found["raises"]],
        output=found["output"],
        uncaught=found["uncaught"],
    )


class Observer:
    """Takes down what happens in one file."""

    def __init__(self, path: str, expression: str, change: tuple[int, str] | None) -> None:
        self.path = path
        self.expression = compile(expression, "<expression>", "eval") if expression else None
        self.change = change
        self.lines: list[tuple[Any, ...]] = []
        self.raises: list[tuple[int, str, str]] = []
        self._threads: dict[int, int] = {}
        self._fresh: set[int] = set()
        self._last: dict[int, int] = {}
        self._passing: set[int] = set()
        """The threads in which an exception has just left a frame."""

    def entered(self, frame: FrameType) -> None:
        self._fresh.add(id(frame))

    def line(self, frame: FrameType, line: int) -> None:
        me = threading.get_ident()
        self._passing.discard(me)
        if frame.f_code.co_filename != self.path:
            return
        if self.change is not None and self.change[0] == len(self.lines):
            self._change(frame, self.change[1])
        text = "" if self.expression is None else str(eval(self.expression, frame.f_globals, frame.f_locals))
        thread = self._threads.setdefault(me, len(self._threads) + 1)
        self._last[me] = len(self.lines)
        self.lines.append((frame.f_code.co_qualname, line, thread, text, id(frame) in self._fresh))
        self._fresh.discard(id(frame))

    def raised(self, frame: FrameType, error: BaseException, trace: TracebackType | None, offset: int) -> None:
        """An exception is in this frame: it begins here, or has come from a call."""
        me = threading.get_ident()
        comes_from_call = me in self._passing
        self._passing.discard(me)
        operation = frame.f_code.co_code[offset]
        if frame.f_code.co_filename != self.path or me not in self._last:
            return
        if isinstance(error, StopIteration) and operation in _LOOPS:
            return  # the end of an iterator, which is raised nowhere
        is_old = trace is not None and trace.tb_next is not None
        is_group = isinstance(error, BaseExceptionGroup)  # what except* puts together is first seen by the caller
        if operation == _RAISE or not ((comes_from_call and not is_group) or is_old):  # not one that was thrown on
            what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            if type(error).__module__ not in ("builtins", "__main__"):
                what = f"{type(error).__module__}.{what}"
            where = f"{self.path}:{frame.f_lineno} in {frame.f_code.co_qualname}"
            self.raises.append((self._last[me], what, where))

    def left(self) -> None:
        """A frame is over, because of an exception."""
        self._passing.add(threading.get_ident())

    def _change(self, frame: FrameType, statement: str) -> None:
        space = frame.f_locals
        exec(compile(statement, "<change>", "exec"), frame.f_globals, space)
        if sys.version_info < (3, 13) and space is not frame.f_globals:
            ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))

    # -- 3.11

    def trace(self, frame: FrameType, event: str, arg: Any) -> Any:
        code = frame.f_code.co_code
        if event == "call" and code[frame.f_lasti] == dis.opmap["RESUME"] and not code[frame.f_lasti + 1]:
            self.entered(frame)
        elif event == "line":
            self.line(frame, frame.f_lineno)
        elif event == "exception":
            self.raised(frame, arg[1], arg[2], frame.f_lasti)
        elif event == "return" and arg is None and code[frame.f_lasti] not in _LEAVING:
            self.left()
        return self.trace

    def observe_by_trace(self, code: CodeType, space: dict[str, Any]) -> None:
        threading.settrace(self.trace)
        sys.settrace(self.trace)
        try:
            exec(code, space)
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]

    # -- 3.12 and later

    def observe_by_monitoring(self, code: CodeType, space: dict[str, Any]) -> None:
        monitoring = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        events = monitoring.events
        hear = {
            events.PY_START: lambda code, offset: self.entered(sys._getframe(1)),
            events.LINE: lambda code, line: self.line(sys._getframe(1), line),
            events.RAISE: lambda code, offset, error: self.raised(sys._getframe(1), error, error.__traceback__, offset),
            events.PY_UNWIND: lambda code, offset, error: self.left(),
        }
        monitoring.use_tool_id(0, "witness")
        for event, hearer in hear.items():
            monitoring.register_callback(0, event, hearer)
        monitoring.set_events(0, sum(hear))
        try:
            exec(code, space)
        finally:
            monitoring.set_events(0, 0)


def _main(path: str, answer: str, expression: str = "", number: str = "", statement: str = "") -> None:
    code = compile(Path(path).read_text(), path, "exec", dont_inherit=True)
    module = type(sys)("__main__")
    space: dict[str, Any] = module.__dict__
    space["__file__"] = path
    sys.modules["__main__"] = module
    observer = Observer(path, expression, (int(number), statement) if number else None)
    sys.stdout = io.StringIO()
    uncaught = None
    try:
        (observer.observe_by_monitoring if sys.version_info >= (3, 12) else observer.observe_by_trace)(code, space)
    except BaseException as error:  # the program's own failure belongs to it
        uncaught = type(error).__name__
    found = {"lines": observer.lines, "raises": observer.raises, "output": sys.stdout.getvalue().splitlines(),
             "uncaught": uncaught}  # fmt: skip
    Path(answer).write_text(json.dumps(found))


if __name__ == "__main__":
    _main(*sys.argv[1:])
