"""What the program got from outside, and what it wrote: read from the trace, without replaying."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from retroscope.replay.moments import OutputChunk

if TYPE_CHECKING:
    from retroscope.api.moments import Moment
    from retroscope.api.recorded import Trace


@dataclass(frozen=True)
class Input:
    """A record of the process's input stream: what a call of the outside world gave."""

    trace: Trace = field(repr=False, compare=False)
    number: int
    """From 0, in the order of the program."""
    name: str
    """The callable, such as `time.time`; empty for records of the recorder itself."""
    kind: str
    """`result`, `raised`, or what the recorder noted: `source`, `switch`, `gc`, …"""
    value: object = field(repr=False)
    """The recorded value. What only the program could make comes as a class of `retroscope.trace.values`."""

    def moment(self) -> Moment:
        """Before the line that made it."""
        return self.trace.at_input(self.number)


class Output:
    """What one call wrote to `stream`: stdout or stderr."""

    def __init__(self, trace: Trace, chunk: OutputChunk) -> None:
        self.trace = trace
        self.stream: str = chunk.stream
        self.data: bytes = chunk.data
        self.input: int = chunk.input
        """Number of the input at which it was written."""

    def __repr__(self) -> str:
        return f"<{self.stream} {self.data!r}>"

    @property
    def text(self) -> str:
        """Decoded as UTF-8."""
        return self.data.decode("utf-8", "replace")

    def moment(self) -> Moment:
        """Before the line that wrote it."""
        return self.trace.at_input(self.input)
