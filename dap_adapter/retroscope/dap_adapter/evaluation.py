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
        return {"evaluate": self._evaluate, "setVariable": self._set_variable, "setExpression": self._set_expression}

    def _evaluate(self, arguments: Arguments) -> Reply | Body:
        expression = text(arguments, "expression")
        frame = self._inspection.frame(arguments)
        if text(arguments, "context", "") != "repl":
            return self._value(expression, frame)
        typed = self._console.read(expression, frame)
        if typed is None or typed.word == "print":
            return self._typed(expression if typed is None else typed.argument, frame)
        if typed.word == "what-if":
            return {"result": self._what_if(typed.argument, frame), "variablesReference": 0}
        journey = self._console.journey(typed, frame)
        if journey is None:
            return {"result": self._console.answer(typed), "variablesReference": 0}
        return Reply({"result": "", "variablesReference": 0}, then=lambda: self._console.travel(typed, journey))

    def _typed(self, expression: str, frame: FrameId | None) -> Body:
        body = self._value(expression, frame)
        if body["result"] or body.get("type"):
            return body
        # a statement that printed nothing: whoever typed it may think that it lasts
        return {**body, "result": f"done in a copy that is gone; to let it run on: .what-if {expression.strip()}"}

    def _what_if(self, statement: str, frame: FrameId | None) -> str:
        """It can take seconds, and `pause` ends it."""
        timeline = self._session.timeline
        answers: list[str] = []

        def work() -> None:
            answers.append(timeline.what_if(statement, frame).text)

        self._session.interruption.during(timeline.interrupt, work)
        return answers[0]

    def _set_variable(self, arguments: Arguments) -> Body:
        raise _cannot_be_set(text(arguments, "name"), text(arguments, "value"))

    def _set_expression(self, arguments: Arguments) -> Body:
        raise _cannot_be_set(text(arguments, "expression"), text(arguments, "value"))

    def _value(self, expression: str, frame: FrameId | None) -> Body:
        value = self._session.secrecy.clean(self._session.timeline.evaluate(expression.strip(), frame))
        if value.failed:
            raise RequestFailed(value.text)
        return {"result": value.text, **self._inspection.value(value, frame)}


def _cannot_be_set(name: str, value: str) -> RequestFailed:
    instead = f"'what-if {name} = {value}' in the console shows what would have followed"
    return RequestFailed(f"what has been cannot be changed; {instead}", show_user=True)
