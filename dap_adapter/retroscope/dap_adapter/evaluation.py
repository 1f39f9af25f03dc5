"""`evaluate`: expressions of hovers and watches, and everything typed into the debug console."""

from __future__ import annotations

from collections.abc import Mapping

from retroscope.dap_adapter.arguments import Arguments, text
from retroscope.dap_adapter.console import Console
from retroscope.dap_adapter.failure import RequestFailed
from retroscope.dap_adapter.inspection import Inspection
from retroscope.dap_adapter.session import Body, Handler, Reply, Session
from retroscope.replay.moments import FrameId


class Evaluation:
    """Evaluating never changes the past: the timeline does it in a copy of the process that is thrown away."""

    def __init__(self, session: Session, inspection: Inspection, console: Console) -> None:
        self._session = session
        self._inspection = inspection
        self._console = console

    def requests(self) -> Mapping[str, Handler]:
        return {"evaluate": self._evaluate}

    def _evaluate(self, arguments: Arguments) -> Reply | Body:
        expression = text(arguments, "expression")
        frame = self._inspection.frame(arguments)
        if text(arguments, "context", "") != "repl":
            return self._value(expression, frame)
        typed = self._console.read(expression, frame)
        if typed is None:
            return self._value(expression, frame)
        if typed.word == "print":
            return self._value(typed.argument, frame)
        journey = self._console.journey(typed)
        if journey is None:
            return {"result": self._console.answer(typed), "variablesReference": 0}
        return Reply({"result": "", "variablesReference": 0}, then=lambda: self._console.travel(typed, journey))

    def _value(self, expression: str, frame: FrameId | None) -> Body:
        value = self._session.timeline.evaluate(expression.strip(), frame)
        if value.failed:
            raise RequestFailed(value.text)
        return {"result": value.text, **self._inspection.value(value)}
