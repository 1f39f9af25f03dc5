"""From what users ask for to the table of Seam 4, and back from a match to the breakpoints it means."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from types import CodeType

from retroscope.replay.hit_conditions import parse_hits
from retroscope.replay.messages import BadMessage, parse_message
from retroscope.replay.moments import Breakpoint, BreakpointStatus
from retroscope.replay.protocol import TableEntry

_LIBRARY = re.compile(r"/lib\w*/python3[^/]*/|/(site|dist)-packages/")


class BreakpointTable:
    """Rows for the C core, several breakpoints to a row when they mean the same place."""

    def __init__(self, paths: Sequence[str], source: Callable[[str], str | None]) -> None:
        self._paths = paths
        self._source = source
        self._rows: dict[tuple[str, int], list[Breakpoint]] = {}
        self.raised_types: tuple[str, ...] = ()
        """Names of exception types without their modules: what is raised of others does not count; none: all counts."""

    def set(self, breakpoints: Sequence[Breakpoint]) -> list[BreakpointStatus]:
        """Replaces all; one status for each, in the same order."""
        self._rows = {}
        return [self._place(each) for each in breakpoints]

    @property
    def entries(self) -> list[TableEntry]:
        places = [TableEntry(number, line, name) for number, (name, line) in enumerate(self._rows)]
        return places + [TableEntry(len(places), 0, name, raises=True) for name in self.raised_types]

    @property
    def conditions(self) -> tuple[tuple[int, str], ...]:
        """(row, expression) for each row that only stops where the expression holds."""
        found = []
        for number, asked in enumerate(self._rows.values()):
            texts = [each.condition for each in asked if each.condition is not None]
            if len(texts) == len(asked):
                found.append((number, " or ".join(f"({text.strip()})" for text in texts)))
        return tuple(found)

    @property
    def empty(self) -> bool:
        return not self._rows

    def of_id(self, number: int) -> Breakpoint | None:
        return next((each for asked in self._rows.values() for each in asked if each.id == number), None)

    def of_row(self, number: int) -> list[Breakpoint]:
        rows = list(self._rows.values())
        return rows[number] if number < len(rows) else []

    def _place(self, each: Breakpoint) -> BreakpointStatus:
        if each.hits is not None and parse_hits(each.hits) is None:
            forms = "5, >= 3, > 3, <= 3, < 3, % 2 or % 2 == 1"
            return BreakpointStatus(each.id, False, f"{each.hits!r} does not say which hits; say {forms}", each.line)
        if each.message is not None:
            try:
                parse_message(each.message)
            except BadMessage as error:
                return BreakpointStatus(each.id, False, f"the message cannot be read: {error}", each.line)
        if each.condition is not None:
            try:
                _quietly(each.condition.strip(), "<condition>", "eval")
            except SyntaxError as error:
                return BreakpointStatus(each.id, False, f"the condition is not an expression: {error.msg}", each.line)
        if each.function is not None:
            return self._place_function(each, each.function)
        if each.path is None or each.line is None:
            return BreakpointStatus(each.id, False, "a breakpoint needs a file and a line, or a function")
        return self._place_line(each, each.path, each.line)

    def _place_function(self, each: Breakpoint, asked: str) -> BreakpointStatus:
        stem, _, name = asked.rpartition(":")
        found = self._functions(stem, name)
        for row in found or [asked]:
            self._rows.setdefault((row, 0), []).append(each)
        if found:
            return BreakpointStatus(each.id, True)
        return BreakpointStatus(each.id, False, f"no recorded source defines a function {asked}")

    def _functions(self, stem: str, name: str) -> list[str]:
        """Which functions are meant, as the core wants them: `file-stem:qualified.name`.

        The full name goes before a name that only ends so, and the user's code before that of libraries.
        """
        last = name.rpartition(".")[2]
        mention = re.compile(rf"\b(def|class)\s+{re.escape(last)}\b" if last.isidentifier() else "lambda|for")
        ranked: dict[tuple[bool, bool], dict[str, None]] = {}
        for path in self._paths:
            file = os.path.basename(path).rpartition(".")[0] or path
            text = self._source(path) if stem in ("", file) else None
            if text is None or not mention.search(text):
                continue
            for qualified in function_names(text, path):
                if qualified == name or qualified.endswith("." + name):
                    rank = (qualified != name, _LIBRARY.search(path) is not None)
                    ranked.setdefault(rank, {})[f"{file}:{qualified}"] = None
        return list(ranked[min(ranked)]) if ranked else []

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
def function_names(text: str, path: str) -> tuple[str, ...]:
    """The qualified names of the functions and classes in a source file."""
    return tuple(code.co_qualname for code in _codes(text, path))


@lru_cache(maxsize=64)
def code_lines(text: str, path: str) -> tuple[int, ...]:
    """The lines that have code, in order; empty when this Python cannot compile the text."""
    return tuple(sorted({line for code in _codes(text, path) for _, _, line in code.co_lines() if line}))


def _quietly(text: str, path: str, mode: str) -> CodeType:
    """Compiles without a word about what Python would warn of: the text is the program's, or will be judged there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = compile(text, path, mode, dont_inherit=True)
    assert isinstance(code, CodeType)
    return code


def _codes(text: str, path: str) -> Iterator[CodeType]:
    """All code of a file; compiling runs none of it."""
    try:
        codes = [_quietly(text, path, "exec")]
    except (SyntaxError, ValueError, RecursionError):
        return
    while codes:
        code = codes.pop()
        yield code
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
