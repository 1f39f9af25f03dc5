"""Runs `scope` in this process, as a shell would run it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from retroscope.cli.main import main


@dataclass
class Answer:
    status: int
    out: str
    err: str


class Scope:
    """`scope("info", "trace.db")` → exit status and what was shown."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str) -> Answer:
        self._capsys.readouterr()
        status = main(list(words))
        shown = self._capsys.readouterr()
        return Answer(status, shown.out, shown.err)
