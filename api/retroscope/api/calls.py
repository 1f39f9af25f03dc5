"""Calls of a function, found by replaying, and how they end."""

from __future__ import annotations

import ast
from functools import cached_property
from typing import TYPE_CHECKING

from retroscope.api.frames import Frame
from retroscope.api.values import LITERAL, Value
from retroscope.replay.moments import ReplayError
from retroscope.replay.outcomes import Outcome as Found

if TYPE_CHECKING:
    from retroscope.api.moments import Moment
    from retroscope.api.recorded import Trace


class Call:
    """A call, seen at the first line of the function. A generator is called once, however often it is resumed."""

    def __init__(self, moment: Moment) -> None:
        self.moment = moment

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value.text}" for name, value in self.arguments.items())
        return f"{self.frame.function}({shown})"

    @cached_property
    def frame(self) -> Frame:
        return self.moment.frame

    @property
    def function(self) -> str:
        """The qualified name."""
        return self.frame.function

    @cached_property
    def arguments(self) -> dict[str, Value]:
        """The parameters with what they were called with."""
        return self.frame.arguments

    @property
    def caller(self) -> Frame | None:
        """The frame that made the call; None when the interpreter did."""
        stack = self.moment.stack()
        return stack[1] if len(stack) > 1 else None

    @cached_property
    def outcome(self) -> Outcome:
        """How it ended, and what it returned."""
        return self.moment.outcome()

    def finish(self) -> Moment:
        """Where the caller goes on after it."""
        return self.moment.finish()


class Outcome:
    """How a call ended. `how`: `returned`, `raised` (an exception passed out of it), or empty: it never ended.

    `text` and `type` are those of what it returned, as of a `Value`: a rendering of at most 120 bytes, made without
    running the program's code; empty where nothing was returned.
    """

    def __init__(self, trace: Trace, outcome: Found) -> None:
        self.trace = trace
        self.tick: int = outcome.tick
        """Of the last line that ran before the call ended."""
        self.how: str = outcome.how
        self._value = outcome.value if outcome.how == "returned" else None

    def __repr__(self) -> str:
        return f"<{self.how} {self.text}>" if self._value else f"<{self.how or 'not ended'}>"

    @property
    def text(self) -> str:
        return self._value.text + ("…" if self._value.cut else "") if self._value else ""

    @property
    def type(self) -> str:
        return self._value.kind if self._value else ""

    def python(self) -> object:
        """What was returned, if it is a plain value: None, numbers, text, bytes and containers of these.

        ReplayError if it is anything else, or longer than its text.
        """
        if self._value is not None and not self._value.cut and self.type in LITERAL:
            try:
                return ast.literal_eval(self._value.text)
            except (ValueError, SyntaxError):
                pass  # there is one of another kind in it
        raise ReplayError(f"what was returned is no plain value that can be had whole; it is {self.text or 'nothing'}")

    def moment(self) -> Moment:
        """Before that last line ran."""
        return self.trace.at(self.tick)
