"""The part of the timeline that shows the moment at which it stands; nothing here moves."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

from retroscope.replay.moments import (
    Frame,
    FrameId,
    InputId,
    Moment,
    OutputChunk,
    Reference,
    Scope,
    TaskInfo,
    ThreadId,
    ThreadInfo,
    Value,
)
from retroscope.replay.reads import expressions_read
from retroscope.replay.recording import Recording
from retroscope.replay.views import Views
from retroscope.trace import Process


class Shown:
    """What can be seen of a recording at the moment `now`."""

    now: Moment

    def __init__(self, recording: Recording, views: Views) -> None:
        self.recording = recording
        self._views = views

    def threads(self) -> list[ThreadInfo]:
        """Those that were started by now, in that order; after the end, when nothing can be asked, the main thread."""
        return self._views.threads()

    def tasks(self) -> list[TaskInfo]:
        """The asyncio tasks of this moment that are not over, by name."""
        return self._views.tasks()

    def stack(self, thread: ThreadId | None = None) -> list[Frame]:
        """Of the running thread, or of another; innermost first. Empty after the end."""
        return self._views.stack(thread)

    def scopes(self, frame: FrameId) -> list[Scope]:
        return self._views.scopes(frame)

    def expand(self, reference: Reference, start: int = 0, count: int | None = None) -> list[Value]:
        return self._views.expand(reference, start, count)

    def evaluate(self, expression: str, frame: FrameId | None = None) -> Value:
        """An expression's repr, or what a statement printed. An error of the expression is a failed Value."""
        return self._views.evaluate(expression, frame)

    def interpolate(self, message: str, frame: FrameId | None = None) -> str:
        """A text with the values of the expressions in its braces, as breakpoints with a message say it."""
        return self._views.interpolate(message, frame)

    def reads(self, frame: FrameId) -> list[Value]:
        """What the line at which the frame stands reads, each named as it is written there."""
        shown = next(each for each in self.stack() if each.id == frame)
        source = self.source(shown.path)
        expressions = expressions_read(source, shown.line) if source else []
        return [replace(self.evaluate(expression, frame), name=expression) for expression in expressions]

    def arguments(self, frame: FrameId) -> list[str]:
        """The names of the parameters of a frame's function."""
        return self._views.arguments(frame)

    def names(self, frame: FrameId) -> list[str]:
        """Every name that is in scope in a frame, for completion."""
        return self._views.names(frame)

    def processes(self) -> list[Process]:
        """Every process of the trace, in order of start."""
        return self.recording.processes()

    def source(self, path: str) -> str | None:
        return self.recording.source(path)

    def source_paths(self) -> list[str]:
        return self.recording.source_paths()

    def output(self, upto: InputId | None = None) -> list[OutputChunk]:
        if upto is None:
            upto = InputId(self.recording.inputs) if self._views.at_end else self.now.input
        return list(self.recording.output(upto))

    def inputs(self, first: InputId, most: int) -> list[tuple[InputId, str, str]]:
        """(number, callable, value) of at most `most` inputs from `first` on."""
        rows = islice(self.recording.input_lines(first), most)
        return [(InputId(number), name, value) for number, name, value in rows]

    def last_line_of(self, path: str) -> int | None:
        text = self.source(path)
        return None if text is None else len(text.splitlines())
