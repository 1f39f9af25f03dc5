"""Calls of a function, found by replaying."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from retroscope.api.frames import Frame
from retroscope.api.values import Value

if TYPE_CHECKING:
    from retroscope.api.moments import Moment


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

    def finish(self) -> Moment:
        """Where the caller goes on after it."""
        return self.moment.finish()
