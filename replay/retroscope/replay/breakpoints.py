"""From what users ask for to the table of Seam 4, and back from a match to the breakpoints it means."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import CodeType

from retroscope.replay.moments import Breakpoint, BreakpointStatus
from retroscope.replay.protocol import TableEntry


class BreakpointTable:
    """Rows for the C core, several breakpoints to a row when they mean the same place."""

    def __init__(self, paths: Sequence[str], source: Callable[[str], str | None]) -> None:
        self._paths = paths
        self._source = source
        self._rows: dict[tuple[str, int], list[Breakpoint]] = {}

    def set(self, breakpoints: Sequence[Breakpoint]) -> list[BreakpointStatus]:
        """Replaces all; one status for each, in the same order."""
        self._rows = {}
        return [self._place(each) for each in breakpoints]

    @property
    def entries(self) -> list[TableEntry]:
        return [TableEntry(number, line, name) for number, (name, line) in enumerate(self._rows)]

    @property
    def empty(self) -> bool:
        return not self._rows

    def of_row(self, number: int) -> list[Breakpoint]:
        rows = list(self._rows.values())
        return rows[number] if number < len(rows) else []

    def _place(self, each: Breakpoint) -> BreakpointStatus:
        if each.condition is not None:
            try:
                compile(each.condition.strip(), "<condition>", "eval")
            except SyntaxError as error:
                return BreakpointStatus(each.id, False, f"the condition is not an expression: {error.msg}", each.line)
        if each.function is not None:
            self._rows.setdefault((each.function, 0), []).append(each)
            return BreakpointStatus(each.id, True)
        if each.path is None or each.line is None:
            return BreakpointStatus(each.id, False, "a breakpoint needs a file and a line, or a function")
        return self._place_line(each, each.path, each.line)

    def _place_line(self, each: Breakpoint, asked: str, line: int) -> BreakpointStatus:
        path = self.find_path(asked)
        if path is None:
            return BreakpointStatus(each.id, False, f"{asked} did not run in this recording", line)
        text = self._source(path)
        if text is not None:
            here = next((number for number in code_lines(text, path) if number >= line), None)
            if here is None:
                return BreakpointStatus(each.id, False, f"there is no code at or after line {line} of {path}", line)
            line = here
        self._rows.setdefault((path, line), []).append(each)
        return BreakpointStatus(each.id, True, "", line)

    def find_path(self, asked: str) -> str | None:
        """The recorded path that is meant: the same one, else the only one that ends in these parts."""
        if asked in self._paths:
            return asked
        whole = os.path.normpath(os.path.abspath(asked))
        if whole in self._paths:
            return whole
        tail = "/" + os.path.normpath(asked).lstrip("./")
        ends = [path for path in self._paths if path.endswith(tail)]
        return min(ends, key=len) if ends else None


@lru_cache(maxsize=64)
def code_lines(text: str, path: str) -> tuple[int, ...]:
    """The lines that have code, in order; empty when this Python cannot compile the text."""
    try:
        codes = [compile(text, path, "exec", dont_inherit=True)]
    except (SyntaxError, ValueError, RecursionError):
        return ()
    lines: set[int] = set()
    while codes:
        code = codes.pop()
        lines.update(line for _, _, line in code.co_lines() if line)
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return tuple(sorted(lines))
