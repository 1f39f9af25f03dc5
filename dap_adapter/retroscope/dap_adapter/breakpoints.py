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
        "supportsCondition": True,
        "conditionDescription": "Names of exception types, as in: OSError, KeyError",
    },
    {
        "filter": UNCAUGHT,
        "label": "Uncaught Exceptions",
        "description": "Stop where the exception that ended the program was raised",
        "default": True,
        "supportsCondition": True,
        "conditionDescription": "Names of exception types, as in: OSError, KeyError",
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
        self.data_ids: frozenset[int] = frozenset()
        """The numbers of the data breakpoints, which are set elsewhere."""

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
                id=self.number(),
                path=path,
                line=self._session.line_from_client(integer(one, "line")),
                condition=_some(one, "condition"),
                hits=_some(one, "hitCondition"),
                message=_some(one, "logMessage"),
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
                id=self.number(),
                function=text(one, "name"),
                condition=_some(one, "condition"),
                hits=_some(one, "hitCondition"),
            )
            for one in objects(arguments, "breakpoints")
        ]
        statuses = self._apply()
        return {"breakpoints": [self._described(one, statuses) for one in self._functions]}

    def _set_exceptions(self, arguments: Arguments) -> Body:
        asked = [(name, "") for name in strings(arguments, "filters")]
        asked += [(text(one, "filterId"), text(one, "condition", "")) for one in objects(arguments, "filterOptions")]
        timeline = self._session.timeline
        answers = [_read_filter(name, condition) for name, condition in asked]
        wanted = {each[0]: each[1] for each in answers if isinstance(each, tuple)}
        timeline.break_on_raised, timeline.break_on_uncaught = RAISED in wanted, UNCAUGHT in wanted
        timeline.raised_types, timeline.uncaught_types = wanted.get(RAISED, ()), wanted.get(UNCAUGHT, ())
        return {"breakpoints": [{"verified": True} if isinstance(each, tuple) else each for each in answers]}

    def number(self) -> int:
        """One that no breakpoint of the session had."""
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


def _some(one: Arguments, name: str) -> str | None:
    return text(one, name, "").strip() or None


def _read_filter(name: str, condition: str) -> tuple[str, tuple[str, ...]] | dict[str, Any]:
    """(the filter, names of types without their modules), or the answer that says what is wrong."""
    if name not in (RAISED, UNCAUGHT):
        return {"verified": False, "message": f"retroscope has no exception filter '{name}'"}
    types = tuple(word.rpartition(".")[2] for word in condition.replace(",", " ").split())
    wrong = next((word for word in types if not word.isidentifier()), None)
    if wrong is not None:
        return {"verified": False, "message": f"'{wrong}' is no name of an exception type"}
    return name, types
