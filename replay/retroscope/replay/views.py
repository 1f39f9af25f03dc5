"""What is shown of the current moment: threads, stacks, variables, values. All of it is void after a motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from retroscope.replay.looking import Looker, Lookers, LookFailed
from retroscope.replay.messages import BadMessage, parse_message
from retroscope.replay.moments import (
    Frame,
    FrameId,
    Reference,
    ReplayError,
    Scope,
    TaskInfo,
    ThreadId,
    ThreadInfo,
    Value,
)
from retroscope.replay.motion import Motion
from retroscope.replay.protocol import Reason


class Views:
    """Looks into the current process of `motion`; `close` before it moves. See `TimelineApi` for the methods."""

    def __init__(self, motion: Motion) -> None:
        self._motion = motion
        self._lookers = Lookers()

    def close(self) -> None:
        """Ends every looker: the moment is over."""
        self._lookers.close()

    @property
    def at_end(self) -> bool:
        """Whether the program is over, whatever the last motion was."""
        last = self._motion.current.last
        return last is not None and last.reason is Reason.END

    def threads(self) -> list[ThreadInfo]:
        if self.at_end:
            return [ThreadInfo(ThreadId(1), "MainThread", "finished")]
        rows = self._viewer().ask("all_threads")
        return [ThreadInfo(ThreadId(number), name, state, waits) for number, name, state, waits in rows]

    def tasks(self) -> list[TaskInfo]:
        if self.at_end:
            return []
        rows = self._viewer().ask("tasks")
        return [TaskInfo(name, state, waits, tuple(map(_frame, frames))) for name, state, waits, frames in rows]

    def stack(self, thread: ThreadId | None = None) -> list[Frame]:
        if self.at_end:
            return []
        return [_frame(row) for row in self._viewer().ask("stack", thread or 0)]

    def scopes(self, frame: FrameId) -> list[Scope]:
        viewer = self._viewer()
        rows = viewer.ask("scopes", frame)
        return [Scope(name, Reference(self._lookers.hold(viewer, reference))) for name, reference in rows]

    def expand(self, reference: Reference, start: int = 0, count: int | None = None) -> list[Value]:
        looker, held = self._lookers.held(reference)
        return [self._value(looker, row) for row in looker.ask("children", held, start, count)]

    def evaluate(self, expression: str, frame: FrameId | None = None) -> Value:
        try:
            looker = self._lookers.evaluation(self._motion.current)
            printed, row, failure = looker.ask("evaluate", frame or 0, expression)
        except LookFailed as error:
            return Value(expression, str(error), "", failed=True)
        if failure is not None:
            return Value(expression, printed + failure, "", failed=True)
        if row is None:
            return Value(expression, printed.removesuffix("\n"), "")
        value = self._value(looker, row)
        if printed:
            value = replace(value, text=(printed + ("" if row[2] == "NoneType" else value.text)).removesuffix("\n"))
        return value

    def interpolate(self, message: str, frame: FrameId | None = None) -> str:
        try:
            parts = parse_message(message)
        except BadMessage as error:
            raise ReplayError(f"the text cannot be read: {error}") from None
        return str(self._lookers.evaluation(self._motion.current).ask("message", frame or 0, parts))

    def arguments(self, frame: FrameId) -> list[str]:
        return [str(name) for name in self._viewer().ask("arguments", frame)]

    def names(self, frame: FrameId) -> list[str]:
        return [str(name) for name in self._viewer().ask("names", frame)]

    def _viewer(self) -> Looker:
        return self._lookers.viewer(self._motion.current)

    def _value(self, looker: Looker, row: Sequence[object]) -> Value:
        name, text, kind, reference, named, indexed, expression = row
        assert isinstance(reference, int) and isinstance(named, int) and isinstance(indexed, int)
        return Value(
            str(name), str(text), str(kind), Reference(self._lookers.hold(looker, reference)), named, indexed,
            expression if isinstance(expression, str) else None,
        )  # fmt: skip


def _frame(row: Sequence[object]) -> Frame:
    number, function, path, line, visible = row
    assert isinstance(number, int) and isinstance(line, int)
    return Frame(FrameId(number), str(function), str(path), line, bool(visible))
