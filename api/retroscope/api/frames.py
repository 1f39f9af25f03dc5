"""Frames of one moment, the names in them, threads and asyncio tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from retroscope.api.values import Value
from retroscope.replay.moments import Frame as Row
from retroscope.replay.moments import Reference, ReplayError, TaskInfo, ThreadId, ThreadInfo
from retroscope.replay.moments import Value as Shown

if TYPE_CHECKING:
    from retroscope.api.moments import Moment


class Names(Mapping[str, Value]):
    """The names of a scope, in order, each with its value."""

    def __init__(self, frame: Frame, scope: str) -> None:
        self._frame = frame
        self._scope = scope

    @cached_property
    def _values(self) -> dict[str, Value]:
        player, place = self._frame.moment.player, self._frame.moment.place
        rows = self._rows()
        return {row.name: Value(player, place, lambda at=at: self._rows(at, 1)[0]) for at, row in enumerate(rows)}  # type: ignore[misc]

    def _rows(self, start: int = 0, count: int | None = None) -> list[Shown]:
        frame = self._frame
        timeline = frame.moment.player.at(frame.moment.place)
        scopes = {scope.name: scope.reference for scope in timeline.scopes(frame.id)}
        return timeline.expand(scopes.get(self._scope, scopes.get("Globals", Reference(0))), start, count)

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{name}: {value.text}" for name, value in self.items()) + "}"


class Frame:
    """A function, module or class body under way at a moment."""

    def __init__(self, moment: Moment, row: Row) -> None:
        self.moment = moment
        self.id = row.id
        self.function: str = row.function
        """Its qualified name, such as `Shop.redeem`, or `<module>`."""
        self.path: str = row.path
        self.line: int = row.line
        """From 1: the line that runs next, or that called the next frame."""
        self.visible: bool = row.visible
        """Whether it is the user's own code: not the standard library, not site-packages."""

    def __repr__(self) -> str:
        return f"{self.path}:{self.line} in {self.function}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frame) and (self.moment, self.id) == (other.moment, other.id)

    def __hash__(self) -> int:
        return hash((self.moment, self.id))

    @property
    def locals(self) -> Names:
        """Its local variables, cells included; of a module its globals."""
        return Names(self, "Locals")

    @property
    def globals(self) -> Names:
        return Names(self, "Globals")

    @property
    def arguments(self) -> dict[str, Value]:
        """Those locals that are parameters, with what they hold now."""
        names, values = self.moment.player.at(self.moment.place).arguments(self.id), self.locals
        return {name: values[name] for name in names if name in values}

    @property
    def source(self) -> str:
        """The text of its line as recorded; empty where the source is not in the trace."""
        text = self.moment.trace.source(self.path)
        lines = text.splitlines() if text else []
        return lines[self.line - 1].strip() if 0 < self.line <= len(lines) else ""

    def evaluate(self, expression: str) -> Value:
        """Evaluates an expression, or runs a statement, in a throw-away copy of the program: it changes nothing.

        The value of a statement is what it printed. ReplayError with the program's own error if it raises one.
        """
        player, place = self.moment.player, self.moment.place

        def find() -> Shown:
            value = player.at(place).evaluate(expression, self.id)
            if value.failed:
                raise ReplayError(value.text)
            return value

        return Value(player, place, find)


class Thread:
    """A thread of a moment. `state`: running, waiting, ready (it was preempted), starting or finished."""

    def __init__(self, moment: Moment, row: ThreadInfo) -> None:
        self.moment = moment
        self.id: int = row.id
        """Threads are numbered from 1, the main thread, in order of start."""
        self.name: str = row.name
        self.state: str = row.state
        self.waits: str = row.waits
        """What a waiting one waits for, in a few words."""

    def __repr__(self) -> str:
        return f"<thread {self.id} {self.name} {self.state}>"

    @property
    def stack(self) -> list[Frame]:
        """Its frames, innermost first."""
        if self.state == "finished":
            return []
        rows = self.moment.player.at(self.moment.place).stack(ThreadId(self.id))
        return [Frame(self.moment, row) for row in rows]


class Task:
    """An asyncio task that is not over. `state`: running, waiting or ready (its next step is due)."""

    def __init__(self, moment: Moment, row: TaskInfo) -> None:
        self.name: str = row.name
        self.state: str = row.state
        self.waits: str = row.waits
        self.stack: list[Frame] = [Frame(moment, each) for each in row.frames]
        """Its coroutine and what that awaits, innermost first."""

    def __repr__(self) -> str:
        return f"<task {self.name} {self.state}>"


