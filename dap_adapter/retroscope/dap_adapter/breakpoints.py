"""Breakpoints: the client sets them file by file and kind by kind, the timeline wants them all at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from retroscope.dap_adapter.arguments import Arguments, integer, objects, strings, text
from retroscope.dap_adapter.failure import RequestFailed
from retroscope.dap_adapter.session import Body, Handler, Session
from retroscope.dap_adapter.sources import Sources
from retroscope.replay.moments import Breakpoint, BreakpointStatus

RAISED = "raised"
UNCAUGHT = "uncaught"
EXCEPTION_FILTERS = (
    {
        "filter": RAISED,
        "label": "Raised Exceptions",
        "description": "Stop wherever an exception is raised, whether or not it is caught later",
        "default": False,
    },
    {
        "filter": UNCAUGHT,
        "label": "Uncaught Exceptions",
        "description": "Stop where the exception that ended the program was raised",
        "default": True,
    },
)


class Breakpoints:
    """Numbers them once for the whole session, so that a hit can be told by its number."""

    def __init__(self, session: Session, sources: Sources) -> None:
        self._session = session
        self._sources = sources
        self._next = 1
        self._by_path: dict[str, list[Breakpoint]] = {}
        self._functions: list[Breakpoint] = []

    def requests(self) -> Mapping[str, Handler]:
        return {
            "setBreakpoints": self._set_lines,
            "setFunctionBreakpoints": self._set_functions,
            "setExceptionBreakpoints": self._set_exceptions,
        }

    def function_ids(self) -> frozenset[int]:
        return frozenset(breakpoint.id for breakpoint in self._functions)

    def _set_lines(self, arguments: Arguments) -> Body:
        source = arguments.get("source")
        if not isinstance(source, dict):
            raise RequestFailed("'source' must say which file the breakpoints are for")
        path = self._sources.recorded_path(source)
        wanted: Sequence[Arguments] = objects(arguments, "breakpoints")
        if not wanted and arguments.get("breakpoints") is None:
            wanted = [{"line": line} for line in arguments.get("lines") or []]  # the older form
        lines = [
            Breakpoint(
                id=self._number(),
                path=path,
                line=self._session.line_from_client(integer(one, "line")),
                condition=text(one, "condition", "").strip() or None,
            )
            for one in wanted
        ]
        if lines:
            self._by_path[path] = lines
        else:
            self._by_path.pop(path, None)
        statuses = self._apply()
        described = self._sources.describe(path)
        return {"breakpoints": [{**self._described(one, statuses), "source": described} for one in lines]}

    def _set_functions(self, arguments: Arguments) -> Body:
        self._functions = [
            Breakpoint(
                id=self._number(),
                function=text(one, "name"),
                condition=text(one, "condition", "").strip() or None,
            )
            for one in objects(arguments, "breakpoints")
        ]
        statuses = self._apply()
        return {"breakpoints": [self._described(one, statuses) for one in self._functions]}

    def _set_exceptions(self, arguments: Arguments) -> Body:
        filters = strings(arguments, "filters")
        timeline = self._session.timeline
        timeline.break_on_raised = RAISED in filters
        timeline.break_on_uncaught = UNCAUGHT in filters
        return {
            "breakpoints": [
                {"verified": True}
                if name in (RAISED, UNCAUGHT)
                else {"verified": False, "message": f"retroscope has no exception filter '{name}'"}
                for name in filters
            ]
        }

    def _number(self) -> int:
        number = self._next
        self._next += 1
        return number

    def _apply(self) -> dict[int, BreakpointStatus]:
        everything = [one for lines in self._by_path.values() for one in lines] + self._functions
        return {status.id: status for status in self._session.timeline.set_breakpoints(everything)}

    def _described(self, wanted: Breakpoint, statuses: Mapping[int, BreakpointStatus]) -> dict[str, Any]:
        status = statuses.get(wanted.id) or BreakpointStatus(wanted.id, False, "the replay did not take it")
        body: dict[str, Any] = {"id": wanted.id, "verified": status.verified}
        if status.message:
            body["message"] = status.message
        line = status.line if status.line is not None else wanted.line
        if line is not None:
            body["line"] = self._session.line_to_client(line)
        return body
