"""`gotoTargets` and `goto`: to a line, by running there. Nothing is skipped, for the past is as it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retroscope.dap_adapter.arguments import Arguments, integer
from retroscope.dap_adapter.failure import RequestFailed
from retroscope.dap_adapter.handles import Handles
from retroscope.dap_adapter.motion import Journey, Motion
from retroscope.dap_adapter.session import Body, Handler, Reply, Session
from retroscope.dap_adapter.sources import Sources
from retroscope.replay.moments import Breakpoint

Target = tuple[str, int, bool]
"""Path, line, and whether it is sought before the current moment rather than behind it."""


class Goto:
    def __init__(self, session: Session, sources: Sources, motion: Motion) -> None:
        self._session = session
        self._sources = sources
        self._motion = motion
        self._targets: Handles[Target] = Handles("target")

    def requests(self) -> Mapping[str, Handler]:
        return {"gotoTargets": self._offer, "goto": self._goto}

    def _offer(self, arguments: Arguments) -> Body:
        source = arguments.get("source")
        if not isinstance(source, dict):
            raise RequestFailed("'source' must say which file the line is in")
        path = self._sources.recorded_path(source)
        line = self._session.line_from_client(integer(arguments, "line"))
        return {"targets": [self._target(path, line, False), self._target(path, line, True)]}

    def _target(self, path: str, line: int, back: bool) -> dict[str, Any]:
        label = f"line {line}, the last time before" if back else f"line {line}, the next time"
        number = self._targets.number((path, line, back))
        return {"id": number, "label": label, "line": self._session.line_to_client(line)}

    def _goto(self, arguments: Arguments) -> Reply:
        path, line, back = self._targets[integer(arguments, "targetId")]
        return Reply(then=lambda: self._go(path, line, back))

    def _go(self, path: str, line: int, back: bool) -> None:
        self._motion.move(to_line(path, line, back))


def to_line(path: str, line: int, back: bool) -> Journey:
    """To the next time that the line runs, or the last time before; where there is none it stays, and says so."""
    return lambda timeline: timeline.goto_line(Breakpoint(0, path=path, line=line), back)
