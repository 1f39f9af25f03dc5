"""The words of observations and of their index: kinds of facts, places, and what blocks say of frames and values."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import IntFlag

Key = str | int | None
"""A part of what facts are found by."""


class Kind(IntFlag):
    """Kinds of facts, the first item of each: docs/observations.md."""

    LINE = 1
    ENTER = 2
    LEAVE = 4
    RESUME = 8
    LOCAL = 16
    CONTENT = 32
    ATTR = 64
    ITEM = 128
    NAME = 256
    RAISE = 512
    FREED = 1024
    INPUT = 2048
    KEPT = 4096


@dataclass(frozen=True)
class Place:
    """What a breakpoint without condition means: a line of a file, or the first line of each call of a function."""

    kind: Kind
    first: str
    second: int | None
    stem: str = ""
    """Of a function: the name of its file without folders and extension; empty: any."""

    @classmethod
    def of_row(cls, name: str, line: int) -> Place:
        """Of a row of the breakpoint table: a file with a line, or with line 0 a function, `stem:qualified.name`."""
        if line:
            return cls(Kind.LINE, name, line)
        stem, _, function = name.partition(":") if ":" in name else ("", "", name)
        return cls(Kind.ENTER, function, None, stem)


@dataclass(frozen=True)
class Rendered:
    """A value as it was. `address` 0: an atom, whose text says it all. `cut`: the text is a beginning only."""

    kind: str
    address: int
    text: str
    cut: bool
    mutable: bool

    @classmethod
    def of(cls, row: tuple[str, int, str, int]) -> Rendered:
        kind, address, text, flags = row
        return cls(kind, address, text, bool(flags & 1), bool(flags & 2))


def file_stem(path: str) -> str:
    name = os.path.basename(path)
    stem = name.rpartition(".")[0]
    return stem or name
