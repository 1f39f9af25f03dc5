"""Looking at the moment where the timeline stands: threads, frames, scopes, variables, the exception."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from retroscope.dap_adapter.arguments import Arguments, integer, text
from retroscope.dap_adapter.failure import RequestFailed
from retroscope.dap_adapter.handles import Handles
from retroscope.dap_adapter.session import Body, Handler, Session
from retroscope.dap_adapter.sources import Sources
from retroscope.replay.moments import Frame, FrameId, Moment, Reference, StopReason, ThreadId, ThreadInfo, Value

UNPAGED_LIMIT = 1000
"""Children given to a client that asks for all of them; a last line says how many were left out."""

NO_FRAME = FrameId(-1)
"""What is shown in place of a stack after the end of the recording."""


@dataclass(frozen=True)
class Expandable:
    """A reference of the timeline with the number of its children, when that is known."""

    reference: Reference
    named: int = 0
    indexed: int = 0
    frame: FrameId | None = None
    """The frame in which the expressions of its children mean something; None: the innermost."""


class Inspection:
    """Everything handed out here is void after a motion; asked for then, it is refused."""

    def __init__(self, session: Session, sources: Sources) -> None:
        self._session = session
        self._sources = sources
        self._frames: Handles[FrameId] = Handles("frame")
        self._expandables: Handles[Expandable] = Handles("variable")
        self._expressions: dict[tuple[int, str], str] = {}
        """By the number of the parent and the name of the child: what has been shown of this moment."""
        self.moment: Moment | None = None
        """Where the last motion ended, with the reason that was told to the client."""

    def requests(self) -> Mapping[str, Handler]:
        return {
            "threads": self._threads,
            "stackTrace": self._stack_trace,
            "scopes": self._scopes,
            "variables": self._variables,
            "exceptionInfo": self._exception_info,
        }

    def forget(self) -> None:
        """The moment is being left."""
        self._frames.forget()
        self._expandables.forget()
        self._expressions.clear()
        self.moment = None

    def frame(self, arguments: Arguments) -> FrameId | None:
        """The frame a request names with `frameId`; None when it names none, or there is none."""
        number = integer(arguments, "frameId", 0)
        named = self._frames[number] if number else None
        return None if named == NO_FRAME else named

    def expression_of(self, number: int, name: str) -> tuple[str | None, FrameId | None]:
        """The expression of a child that was shown, and the frame where it means something."""
        parent = self._expandables[number]
        of_scope = name if not parent.named + parent.indexed and name.isidentifier() else None
        return self._expressions.get((number, name), of_scope), parent.frame

    def value(self, value: Value, frame: FrameId | None = None) -> dict[str, Any]:
        """What the protocol's `Variable` and the body of `evaluate` have in common."""
        body: dict[str, Any] = {"variablesReference": 0}
        if value.kind:
            body["type"] = value.kind
        if value.reference:
            body["variablesReference"] = self._expandables.number(
                Expandable(value.reference, value.named, value.indexed, frame)
            )
        if value.named:
            body["namedVariables"] = value.named
        if value.indexed:
            body["indexedVariables"] = value.indexed
        return body

    def _threads(self, _arguments: Arguments) -> Body:
        return {"threads": self._threads_now() if self._session.is_open else []}

    def _threads_now(self) -> list[dict[str, Any]]:
        """Never empty: clients offer motion on a thread only, and at the end of the recording none may be left."""
        timeline = self._session.timeline
        living = (thread for thread in timeline.threads() if thread.state != "finished")
        threads = [{"id": int(thread.id), "name": _thread_name(thread)} for thread in living]
        return threads or [{"id": int(timeline.now.thread), "name": "MainThread"}]

    def _stack_trace(self, arguments: Arguments) -> Body:
        thread = ThreadId(integer(arguments, "threadId"))
        if all(known["id"] != thread for known in self._threads_now()):
            raise RequestFailed(f"there is no thread {thread} at this moment")
        frames = self._session.timeline.stack(thread)
        start = max(integer(arguments, "startFrame", 0), 0)
        levels = integer(arguments, "levels", 0)
        if not frames and self._session.timeline.now.reason is StopReason.END:
            return {"stackFrames": [] if start else [self._no_frame()], "totalFrames": 1}
        page = frames[start : start + levels] if levels > 0 else frames[start:]
        return {"stackFrames": [self._frame_body(frame) for frame in page], "totalFrames": len(frames)}

    def _no_frame(self) -> dict[str, Any]:
        """After the end. Clients that get no frame at all go on showing the variables of the last one that they had."""
        return {
            "id": self._frames.number(NO_FRAME),
            "name": self._session.timeline.now.text or "the program is over",
            "line": 0,
            "column": 0,
            "presentationHint": "label",
        }

    def _frame_body(self, frame: Frame) -> dict[str, Any]:
        body = {
            "id": self._frames.number(frame.id),
            "name": frame.function,
            "source": self._sources.describe(frame.path),
            "line": self._session.line_to_client(frame.line),
            "column": self._session.column_to_client(1),
        }
        if not frame.visible:
            body["presentationHint"] = "subtle"
            body["source"] = {**self._sources.describe(frame.path), "presentationHint": "deemphasize"}
        return body

    def _scopes(self, arguments: Arguments) -> Body:
        number = integer(arguments, "frameId")
        if number and self._frames[number] == NO_FRAME:
            return {"scopes": []}
        frame = self.frame({"frameId": number})
        if frame is None:
            raise RequestFailed("frame 0 is no frame of this moment")
        return {
            "scopes": [
                {
                    "name": scope.name,
                    "variablesReference": self._expandables.number(Expandable(scope.reference, frame=frame)),
                    "expensive": scope.name == "Globals",
                    **({"presentationHint": "locals"} if scope.name == "Locals" else {}),
                }
                for scope in self._session.timeline.scopes(frame)
            ]
        }

    def _variables(self, arguments: Arguments) -> Body:
        parent = self._expandables[integer(arguments, "variablesReference")]
        start, count = _slice(parent, arguments)
        if count == 0:
            return {"variables": []}
        children = self._session.timeline.expand(parent.reference, start, count)
        variables = [self._variable(child, parent.frame) for child in children]
        number = integer(arguments, "variablesReference")
        self._expressions.update({(number, child.name): child.expression for child in children if child.expression})
        left_out = parent.named + parent.indexed - UNPAGED_LIMIT
        if not integer(arguments, "count", 0) and left_out > 0:
            variables.append({"name": "…", "value": f"and {left_out} more", "variablesReference": 0})
        return {"variables": variables}

    def _variable(self, value: Value, frame: FrameId | None) -> dict[str, Any]:
        value = self._session.secrecy.clean(value)
        body = {"name": value.name, "value": value.text, **self.value(value, frame)}
        if value.expression:
            body["evaluateName"] = value.expression
        if value.failed:
            body["presentationHint"] = {"attributes": ["failedEvaluation"]}
        return body

    def _exception_info(self, _arguments: Arguments) -> Body:
        moment = self.moment
        if moment is not None and moment.reason is StopReason.DIVERGED:
            return {"exceptionId": "Diverged", "description": moment.text, "breakMode": "always"}
        if moment is None or moment.reason is not StopReason.EXCEPTION:
            raise RequestFailed("this moment is no stop at an exception")
        raised = moment.exception or "an exception that the replay cannot show"
        kind, _, message = raised.partition(": ")
        mode = "always" if self._session.timeline.break_on_raised else "unhandled"
        stack = "".join(_traceback_entry(frame) for frame in reversed(self._session.timeline.stack(moment.thread)))
        details = {"typeName": kind, "fullTypeName": kind, "message": message, "stackTrace": stack}
        return {"exceptionId": kind, "description": raised, "breakMode": mode, "details": details}


def _thread_name(thread: ThreadInfo) -> str:
    """With what it waits for: clients have no other place to show that."""
    return f"{thread.name} ({thread.state} {thread.waits})" if thread.waits else thread.name


def _slice(parent: Expandable, arguments: Arguments) -> tuple[int, int | None]:
    """The stretch of children a request asks for; named children come before indexed ones."""
    start = max(integer(arguments, "start", 0), 0)
    count: int | None = integer(arguments, "count", 0) or None
    wanted = text(arguments, "filter", "")
    if wanted == "indexed":
        start, available = parent.named + start, parent.indexed - start
    elif wanted == "named":
        available = parent.named - start
    else:
        available = parent.named + parent.indexed - start
        if not parent.named + parent.indexed:
            return start, count  # a scope: its size is not known beforehand
    available = max(available, 0)
    return start, min(available, count or UNPAGED_LIMIT)


def _traceback_entry(frame: Frame) -> str:
    return f'  File "{frame.path}", line {frame.line}, in {frame.function}\n'


def bottom_line(frames: Sequence[Frame]) -> str:
    """Where a stack stands, in a few words; empty for no stack."""
    return f"{frames[0].path}:{frames[0].line} in {frames[0].function}" if frames else ""
