"""A timeline over a list of moments taken down beforehand by `sys.settrace`: no recording, no replay.

It obeys the docstrings of `TimelineApi`, so the adapter can be tested apart from the rest, and because its moments
come from plain Python, what it says about a program is true.
"""

from __future__ import annotations

import builtins
import os
import pickle
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from retroscope.replay.moments import (
    Breakpoint,
    BreakpointStatus,
    Diverged,
    Frame,
    FrameId,
    InputId,
    Moment,
    OutputChunk,
    Reference,
    ReplayError,
    Scope,
    StopReason,
    TaskInfo,
    ThreadId,
    ThreadInfo,
    Tick,
    Value,
    WhatIf,
)

MAIN = ThreadId(1)


@dataclass(frozen=True)
class Level:
    """A frame of one moment; `visible` as in `Frame`."""

    function: str
    path: str
    line: int
    depth: int
    variables: Mapping[str, Any]
    globals: Mapping[str, Any]
    visible: bool = True


@dataclass(frozen=True)
class Point:
    """One tick: the stack, innermost first, how many pieces of output there were, and what was raised just here."""

    levels: tuple[Level, ...]
    written: int
    raised: str | None = None


@dataclass(frozen=True)
class Script:
    """A whole run. `points[0]` is tick 1."""

    program: tuple[str, ...]
    points: tuple[Point, ...]
    output: tuple[OutputChunk, ...]
    sources: Mapping[str, str]
    failure: int | None = None  # the tick of the uncaught exception
    status: int = 0
    pace: float = 0.0  # seconds a tick takes in a long motion, for tests of `pause`


@dataclass
class FakeTimeline:
    """See `TimelineApi`."""

    script: Script
    visible_only: bool = True
    break_on_raised: bool = False
    break_on_uncaught: bool = False
    closed: bool = False
    warning: str = ""
    cwd: str = field(default_factory=os.getcwd)
    _breakpoints: list[Breakpoint] = field(default_factory=list)
    _values: dict[Reference, Any] = field(default_factory=dict)
    _interrupted: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.program: Sequence[str] = self.script.program
        self.last_tick: Tick | None = Tick(len(self.script.points))
        self.now = self._moment(1, StopReason.ENTRY)

    @classmethod
    def open(cls, trace: Path, process: int = 0) -> FakeTimeline:
        try:
            return cls(pickle.loads(trace.read_bytes()))
        except pickle.UnpicklingError:
            raise ReplayError(f"{trace} is not a trace of Retroscope") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self.closed = True

    # motion

    def goto(self, tick: Tick) -> Moment:
        if not 1 <= tick <= len(self.script.points):
            raise ReplayError(f"tick {tick} is not in this recording, which ends at tick {len(self.script.points)}")
        return self._arrive(tick, StopReason.GOTO)

    def goto_input(self, input: InputId) -> Moment:
        for tick, point in enumerate(self.script.points, 1):
            if point.written >= input:
                return self._arrive(tick, StopReason.GOTO)
        raise ReplayError(f"input {input} is not in this recording")

    def goto_end(self) -> Moment:
        return self._arrive(len(self.script.points), StopReason.END)

    def goto_failure(self) -> Moment:
        if os.environ.get("FAKE_FAILURE") == "Diverged":
            raise Diverged("the replay called time.time where the recording called os.getpid")
        if self.script.failure is None:
            raise ReplayError("no uncaught exception ended this program")
        return self._arrive(self.script.failure, StopReason.EXCEPTION)

    def last_write(self, expression: str, frame: FrameId | None = None) -> Moment:
        if expression == "nothing":
            raise ReplayError("nothing has no value here")
        return replace(self._arrive(1, StopReason.GOTO), text=f"{expression} becomes 6 here, it was 5")

    def reads(self, frame: FrameId) -> list[Value]:
        return [Value("a", "1", "int"), Value("b", "NameError: b", "", failed=True)]

    def step(self) -> Moment:
        return self._search(1, lambda point: True)

    def next(self) -> Moment:
        depth = self._depth()
        return self._search(1, lambda point: point.levels[0].depth <= depth)

    def finish(self) -> Moment:
        depth = self._depth()
        return self._search(1, lambda point: point.levels[0].depth < depth)

    def run(self) -> Moment:
        return self._search(1, None)

    def reverse_step(self) -> Moment:
        return self._search(-1, lambda point: True)

    def reverse_next(self) -> Moment:
        depth = self._depth()
        return self._search(-1, lambda point: point.levels[0].depth <= depth)

    def reverse_finish(self) -> Moment:
        depth = self._depth()
        return self._search(-1, lambda point: point.levels[0].depth < depth)

    def reverse_run(self) -> Moment:
        return self._search(-1, None)

    def interrupt(self) -> None:
        self._interrupted.set()

    def _search(self, direction: int, wanted: Callable[[Point], bool] | None) -> Moment:
        self._interrupted.clear()
        after_all = self.now.reason is StopReason.END and direction < 0
        tick = int(self.now.tick) + after_all
        if wanted is None and self._is_held():
            return self._arrive(max(tick, 1), StopReason.INTERRUPTED)
        while 1 <= tick + direction <= len(self.script.points):
            tick += direction
            point = self.script.points[tick - 1]
            hits = self._hits(point)
            if hits:
                return self._arrive(tick, StopReason.BREAKPOINT, hits)
            if point.raised and (self.break_on_raised or (self.break_on_uncaught and tick == self.script.failure)):
                return self._arrive(tick, StopReason.EXCEPTION)
            if wanted and wanted(point) and (point.levels[0].visible or not self.visible_only):
                return self._arrive(tick, StopReason.STEP)
            if wanted is None:
                _misbehave()
            if self._interrupted.wait(self.script.pace if wanted is None else 0):
                return self._arrive(tick, StopReason.INTERRUPTED)
        if direction > 0:
            return self._arrive(len(self.script.points), StopReason.END, text="the program ended here")
        return self._arrive(1, StopReason.BEGINNING, text="this is the beginning of the recording")

    def _is_held(self) -> bool:
        """The first long motion with FAKE_GATE makes the file of that name, and waits there to be interrupted."""
        gate = Path(os.environ.get("FAKE_GATE", ""))
        if not gate.name or gate.exists():
            return False
        gate.touch()
        return self._interrupted.wait()

    def _hits(self, point: Point) -> tuple[int, ...]:
        level = point.levels[0]
        found = []
        for one in self._breakpoints:
            here = (one.path, one.line) == (level.path, level.line) if one.path else one.function == level.function
            if here and (not one.condition or eval(one.condition, {}, {**level.globals, **level.variables})):
                found.append(one.id)
        return tuple(found)

    def _depth(self) -> int:
        return self._levels()[0].depth if self._levels() else 1

    def _arrive(self, tick: int, reason: StopReason, hits: tuple[int, ...] = (), text: str = "") -> Moment:
        self._values.clear()
        self.now = replace(self._moment(tick, reason), breakpoints=hits, text=text)
        return self.now

    def _moment(self, tick: int, reason: StopReason) -> Moment:
        point = self.script.points[tick - 1] if tick else Point((), 0)
        written = len(self.script.output) if reason is StopReason.END else point.written
        return Moment(Tick(tick), InputId(written), MAIN, reason, exception=point.raised)

    # looking

    def set_breakpoints(self, breakpoints: Sequence[Breakpoint]) -> list[BreakpointStatus]:
        self._breakpoints = [one for one in breakpoints if self._status(one).verified]
        return [self._status(one) for one in breakpoints]

    def _status(self, one: Breakpoint) -> BreakpointStatus:
        if one.condition:
            try:
                compile(one.condition, "<condition>", "eval")
            except SyntaxError as error:
                return BreakpointStatus(one.id, False, f"the condition is not Python: {error.msg}")
        levels = [point.levels[0] for point in self.script.points]
        if one.path is None:
            known = any(level.function == one.function for level in levels)
            return BreakpointStatus(one.id, known, "" if known else f"no function {one.function} ran")
        if one.path not in self.script.sources:
            return BreakpointStatus(one.id, False, f"{one.path} was not loaded while recording")
        known = any((level.path, level.line) == (one.path, one.line) for level in levels)
        return BreakpointStatus(one.id, known, "" if known else f"line {one.line} never ran", one.line)

    def threads(self) -> list[ThreadInfo]:
        return [ThreadInfo(MAIN, "MainThread")]

    def tasks(self) -> list[TaskInfo]:
        return []

    def stack(self, thread: ThreadId | None = None) -> list[Frame]:
        if thread not in (None, MAIN):
            raise ReplayError(f"there is no thread {thread} at this moment")
        return [
            Frame(FrameId(number), level.function, level.path, level.line, level.visible)
            for number, level in enumerate(self._levels())
        ]

    def scopes(self, frame: FrameId) -> list[Scope]:
        level = self._levels()[frame]
        return [Scope("Locals", self._keep(level.variables)), Scope("Globals", self._keep(level.globals))]

    def expand(self, reference: Reference, start: int = 0, count: int | None = None) -> list[Value]:
        value = self._values[reference]
        if isinstance(value, Mapping):
            children = [self._value(str(name), child) for name, child in value.items()]
        else:
            children = [self._value(f"[{index}]", child) for index, child in enumerate(value)]
        return children[start:] if count is None else children[start : start + count]

    def evaluate(self, expression: str, frame: FrameId | None = None) -> Value:
        levels = self._levels()
        level = levels[frame or 0] if levels else Level("", "", 0, 0, {}, {})
        try:
            result = eval(expression, {"__builtins__": builtins, **level.globals}, dict(level.variables))
        except Exception as error:
            return Value(expression, f"{type(error).__name__}: {error}", "", failed=True)
        return replace(self._value(expression, result), expression=expression)

    def what_if(self, statement: str, frame: FrameId | None = None) -> WhatIf:
        if statement == "fails":
            raise ReplayError("the change failed: NameError: name 'fails' is not defined")
        return WhatIf(f"after {statement} in frame {frame} it ends", Tick(7), "", ("- a", "+ b"), ())

    def _value(self, name: str, value: Any) -> Value:
        expandable = isinstance(value, dict | list | tuple) and bool(value)
        sizes = {"named" if isinstance(value, dict) else "indexed": len(value)} if expandable else {}
        reference = self._keep(value) if expandable else Reference(0)
        return Value(name, repr(value)[:200], type(value).__name__, reference, **sizes)

    def _keep(self, value: Any) -> Reference:
        reference = Reference(len(self._values) + 1)
        self._values[reference] = value
        return reference

    def _levels(self) -> tuple[Level, ...]:
        at_end = self.now.reason is StopReason.END
        return () if at_end or not self.now.tick else self.script.points[self.now.tick - 1].levels

    # the record

    def source(self, path: str) -> str | None:
        return self.script.sources.get(path)

    def source_paths(self) -> list[str]:
        return list(self.script.sources)

    def output(self, upto: InputId | None = None) -> list[OutputChunk]:
        limit = self.now.input if upto is None else upto
        return [chunk for chunk in self.script.output if chunk.input < limit]

    def last_line_of(self, path: str) -> int | None:
        source = self.script.sources.get(path)
        return None if source is None else len(source.splitlines())


def _misbehave() -> None:
    """Hangs or fails in a long motion, when a test wants it to."""
    if "FAKE_DEAF" in os.environ:
        threading.Event().wait()
    failure = os.environ.get("FAKE_FAILURE")
    if failure == "ReplayError":
        raise ReplayError("the replay process died")
    if failure:
        raise ZeroDivisionError("a mistake of ours")


class ScriptWriter:
    """Runs a program under `sys.settrace` and takes down its moments. Only the program's own folder is taken down."""

    def __init__(self, program: Path, arguments: Sequence[str]) -> None:
        self._program = program
        self._arguments = arguments
        self._points: list[Point] = []
        self._output: list[OutputChunk] = []

    def run(self, pace: float = 0.0) -> Script:
        source = self._program.read_text()
        path = str(self._program)
        namespace = {"__name__": "__main__", "__file__": path}
        before = sys.stdout, sys.stderr, sys.argv
        sys.stdout, sys.stderr = self._stream("stdout", before[0]), self._stream("stderr", before[1])
        sys.argv = [path, *self._arguments]
        failure, status = None, 0
        try:
            code = compile(source, path, "exec")
            sys.settrace(self._trace)
            exec(code, namespace)
        except Exception as error:
            failure, status = self._raising_tick(), 1
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 0
        finally:
            sys.settrace(None)
            sys.stdout, sys.stderr, sys.argv = before
        program = (path, *self._arguments)
        return Script(program, tuple(self._points), tuple(self._output), {path: source}, failure, status, pace)

    def _raising_tick(self) -> int:
        return max(tick for tick, point in enumerate(self._points, 1) if point.raised)

    def _trace(self, frame: Any, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename != str(self._program):
            return None
        if event == "line":
            self._points.append(Point(self._levels(frame), len(self._output)))
        elif event == "exception" and self._points and not self._points[-1].raised:
            raised = f"{argument[0].__name__}: {argument[1]}"
            if not any(point.raised == raised for point in self._points):
                self._points[-1] = replace(self._points[-1], raised=raised)
        return self._trace

    def _levels(self, frame: Any) -> tuple[Level, ...]:
        frames = []
        while frame is not None:
            if frame.f_code.co_filename == str(self._program):
                frames.append(frame)
            frame = frame.f_back
        return tuple(
            Level(one.f_code.co_name, str(self._program), one.f_lineno, len(frames) - number,
                  _copied(one.f_locals), _copied(one.f_globals))
            for number, one in enumerate(frames)
        )  # fmt: skip

    def _stream(self, name: str, real: Any) -> Any:
        writer = self

        class Stream:
            def write(self, text: str) -> int:
                writer._output.append(OutputChunk(name, text.encode(), InputId(len(writer._output))))
                return int(real.write(text))

            def flush(self) -> None:
                real.flush()

        return Stream()


def _copied(variables: Mapping[str, Any]) -> dict[str, Any]:
    """What can be pickled is kept as it is now; functions and modules as their rendering."""
    plain = {}
    for name, value in variables.items():
        if name == "__builtins__":
            continue
        try:
            plain[name] = pickle.loads(pickle.dumps(value))
        except Exception:
            plain[name] = repr(value)
    return plain


def record(arguments: Sequence[str]) -> int:
    """The fake of `scope record`: TRACE PROGRAM [ARGS…]; the exit status."""
    trace, program, *rest = arguments
    if not program.endswith(".py"):
        print(f"scope record: cannot record {program}", file=sys.stderr)
        return 1
    script = ScriptWriter(Path(program), rest).run(float(os.environ.get("FAKE_PACE", "0")))
    Path(trace).write_bytes(pickle.dumps(script))
    return script.status
