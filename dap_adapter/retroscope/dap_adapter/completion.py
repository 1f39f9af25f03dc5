"""Completing what is being typed into the debug console: commands, names in scope, attributes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from typing import Any

from retroscope.dap_adapter.arguments import Arguments, integer, text
from retroscope.dap_adapter.console import COMMANDS, Command
from retroscope.dap_adapter.inspection import Inspection
from retroscope.dap_adapter.session import Body, Handler, Session
from retroscope.replay.moments import FrameId

LIMIT = 200
"""Suggestions in one answer; more are not read by anybody."""

PATH = re.compile(r"(?:(?P<object>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\.)?(?P<prefix>[A-Za-z_]\w*|)$")
COMMAND = re.compile(r"\s*(?P<mark>[.:]?)(?P<prefix>[A-Za-z][\w-]*)$")


class Completion:
    def __init__(self, session: Session, inspection: Inspection) -> None:
        self._session = session
        self._inspection = inspection

    def requests(self) -> Mapping[str, Handler]:
        return {"completions": self._completions}

    def _completions(self, arguments: Arguments) -> Body:
        line, column = text(arguments, "text"), self._session.column_from_client(integer(arguments, "column"))
        typed = _up_to(_current_line(line, integer(arguments, "line", 1)), column)
        targets = [
            {**self._item(word, typed, prefix), "detail": command.help} for word, command, prefix in _commands(typed)
        ]
        if not COMMAND.fullmatch(typed) or not typed.lstrip().startswith((".", ":")):
            targets += self._names(typed, self._inspection.frame(arguments))
        return {"targets": targets[:LIMIT]}

    def _names(self, typed: str, frame: FrameId | None) -> list[dict[str, Any]]:
        match = PATH.search(typed)
        if match is None:
            return []
        thing, prefix = match["object"], match["prefix"]
        if not thing and not prefix:
            return []
        pool = f"dir({thing})" if thing else "{*locals(), *globals(), *__import__('builtins').__dict__}"
        hidden = "" if prefix.startswith("_") else " and not name.startswith('_')"
        chosen = f"sorted(filter(lambda name: name.startswith({prefix!r}){hidden}, {pool}))"
        answer = self._session.timeline.evaluate(chosen, frame)
        if answer.failed or not answer.reference:
            return []
        values = self._session.timeline.expand(answer.reference, answer.named, min(answer.indexed, LIMIT))
        kind = "property" if thing else "variable"
        return [{**self._item(name, typed, prefix), "type": kind} for name in _strings(value.text for value in values)]

    def _item(self, label: str, typed: str, prefix: str) -> dict[str, Any]:
        before = _utf16(typed[: len(typed) - len(prefix)])
        return {"label": label, "start": self._session.column_to_client(before + 1), "length": _utf16(prefix)}


def _commands(typed: str) -> Iterable[tuple[str, Command, str]]:
    """(word, command, what is typed of the word) of each command that begins so."""
    match = COMMAND.fullmatch(typed)
    if match is None:
        return
    for command in COMMANDS:
        for word in command.words:
            if word.startswith(match["prefix"]) and word != match["prefix"]:
                yield word, command, match["prefix"]


def _strings(renderings: Iterable[str]) -> list[str]:
    """The names behind their reprs; a rendering that was cut short is left out."""
    names = []
    for rendering in renderings:
        try:
            name = ast.literal_eval(rendering)
        except (SyntaxError, ValueError):
            continue
        if isinstance(name, str):
            names.append(name)
    return names


def _current_line(text: str, line: int) -> str:
    lines = text.split("\n")
    return lines[min(max(line - 1, 0), len(lines) - 1)]


def _up_to(line: str, column: int) -> str:
    """The text before a column, which the protocol counts in UTF-16 code units, from 1."""
    units = line.encode("utf-16-le")
    return units[: 2 * max(column - 1, 0)].decode("utf-16-le", "ignore")


def _utf16(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
