"""Data breakpoints: stops where a value changes, in both directions.

The place is found when the client asks for it, at that moment: the slot of the variable, attribute or item of that very
object. So whoever writes there is caught, by whatever name, and the breakpoint means the same at every later moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retroscope.dap_adapter.arguments import Arguments, integer, objects, text
from retroscope.dap_adapter.breakpoints import Breakpoints
from retroscope.dap_adapter.inspection import Inspection
from retroscope.dap_adapter.session import Body, Handler, Session
from retroscope.replay.moments import FrameId, ReplayError
from retroscope.replay.watches import Watchable


class DataBreakpoints:
    """The numbers it gives for places hold for the session."""

    def __init__(self, session: Session, breakpoints: Breakpoints, inspection: Inspection) -> None:
        self._session = session
        self._breakpoints = breakpoints
        self._inspection = inspection
        self._places: list[Watchable] = []

    def requests(self) -> Mapping[str, Handler]:
        return {"dataBreakpointInfo": self._info, "setDataBreakpoints": self._set}

    def _info(self, arguments: Arguments) -> Body:
        name, reference = text(arguments, "name"), integer(arguments, "variablesReference", 0)
        if reference:
            expression, frame = self._inspection.expression_of(reference, name)
        else:
            expression, frame = name, self._inspection.frame(arguments)
        if expression is None:
            return {"dataId": None, "description": f"{name} has no name by which it could be found again"}
        return self._described(expression, frame)

    def _described(self, expression: str, frame: FrameId | None) -> dict[str, Any]:
        try:
            place = self._session.timeline.watchable(expression, frame)
        except ReplayError as error:
            return {"dataId": None, "description": f"{expression} cannot be watched: {error}"}
        self._places.append(place)
        number = str(len(self._places) - 1)
        return {"dataId": number, "description": f"{expression}, here {place.text}", "accessTypes": ["write"]}

    def _set(self, arguments: Arguments) -> Body:
        answers: list[dict[str, Any]] = []
        wanted: list[tuple[int, Watchable]] = []
        for one in objects(arguments, "breakpoints"):
            number, complaint = self._breakpoints.number(), self._complaint(one)
            if complaint:
                answers.append({"id": number, "verified": False, "message": complaint})
            else:
                answers.append({"id": number, "verified": True})
                wanted.append((number, self._places[int(text(one, "dataId"))]))
        self._session.timeline.set_watches(wanted)
        self._breakpoints.data_ids = frozenset(number for number, _ in wanted)
        return {"breakpoints": answers}

    def _complaint(self, one: Arguments) -> str:
        number = text(one, "dataId")
        if not (number.isdigit() and int(number) < len(self._places)):
            return "this place is of another session; ask for it again"
        if text(one, "accessType", "write") != "write":
            return "only writes can be watched"
        if text(one, "condition", "") or text(one, "hitCondition", ""):
            return "a data breakpoint takes no condition"
        return ""
