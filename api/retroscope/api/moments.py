"""Moments: places in time of a recorded process, and the way from one to another."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from retroscope.api.calls import Outcome
from retroscope.api.frames import Frame, Task, Thread
from retroscope.api.player import Place, Player, place_of
from retroscope.api.records import Output
from retroscope.api.values import Value
from retroscope.replay.moments import InputId, ReplayError, StopReason, ThreadId, WhatIf
from retroscope.replay.moments import Moment as Stop
from retroscope.replay.timeline import Timeline

if TYPE_CHECKING:
    from retroscope.api.recorded import Trace

_WATCH = 1


class Moment:
    """A place in time: before the line runs that `frame` shows. Coordinates only, so it stays valid for ever.

    Two moments are equal when they are at the same tick of the same process; the earlier one is less.
    """

    def __init__(self, trace: Trace, stop: Stop) -> None:
        self.trace = trace
        self.tick: int = stop.tick
        """Lines run so far by the whole process, library code too; from 1."""
        self.input: int = stop.input
        """Inputs used so far: the number of the next one."""
        self.thread: int = stop.thread
        """Number of the running thread; the main thread is 1."""
        self.reason: StopReason = stop.reason
        """Why the motion that led here stopped."""
        self.text: str = stop.text
        """What happened here, in a sentence, when there is something to say."""
        self.exception: str | None = stop.exception
        """Type and message of what the line raises, where the motion went to a raise."""

    def __repr__(self) -> str:
        return f"<moment at tick {self.tick}{', the end' if self.is_end else ''}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Moment) and (self._process, self.place) == (other._process, other.place)

    def __hash__(self) -> int:
        return hash((self._process, self.place))

    def __lt__(self, other: Moment) -> bool:
        return (self.tick, self.is_end) < (other.tick, other.is_end)

    def __le__(self, other: Moment) -> bool:
        return not other < self

    def __gt__(self, other: Moment) -> bool:
        return other < self

    def __ge__(self, other: Moment) -> bool:
        return not self < other

    @property
    def _process(self) -> tuple[str, int]:
        return self.trace.path, self.trace.process.id

    @property
    def is_end(self) -> bool:
        """Whether the program is over, or its record ends here."""
        return self.reason is StopReason.END

    @property
    def place(self) -> Place:
        """Its coordinates."""
        return Place(self.tick, self.is_end)

    @property
    def player(self) -> Player:
        return self.trace.player

    # -- looking

    @property
    def frame(self) -> Frame:
        """The innermost frame of the running thread. ReplayError at the end, where no code runs."""
        stack = self.stack()
        if not stack:
            raise ReplayError(f"no code is running at tick {self.tick}: the program is over")
        return stack[0]

    def stack(self, thread: int | None = None) -> list[Frame]:
        """The frames of the running thread, or of another; innermost first, empty at the end."""
        wanted = None if thread is None else ThreadId(thread)
        return [Frame(self, row) for row in self._timeline.stack(wanted)]

    def threads(self) -> list[Thread]:
        """Those that were started by now, in that order."""
        return [Thread(self, row) for row in self._timeline.threads()]

    def tasks(self) -> list[Task]:
        """The asyncio tasks that are not over."""
        return [Task(self, row) for row in self._timeline.tasks()]

    def evaluate(self, expression: str) -> Value:
        """As `frame.evaluate`: in a throw-away copy of the program. ReplayError when the expression raises."""
        return self.frame.evaluate(expression)

    def output(self) -> list[Output]:
        """What the program had written to stdout and stderr by now."""
        upto = None if self.is_end else InputId(self.input)
        return [Output(self.trace, chunk) for chunk in self._timeline.output(upto) if chunk.data]

    def what_if(self, statement: str) -> WhatIf:
        """What the program would do if this statement ran now: a changed copy runs on, beside one as recorded.

        It runs until it asks the outside for something that the record cannot answer; `ended` says where and why,
        `output` and `exceptions` how it differs. Nothing is changed.
        """
        frame = self.frame.id
        return self._timeline.what_if(statement, frame)

    def outcome(self) -> Outcome:
        """How the call ends that the program is in here. ReplayError after the end."""
        return Outcome(self.trace, self._timeline.outcome())

    # -- motion: each gives another moment; at an end of the recording one whose `reason` says so

    def step(self) -> Moment:
        """The next line of the user's code in this thread, also in a called function."""
        return self._moved(Timeline.step)

    def next(self) -> Moment:
        """The next line of this frame, or of its caller when it returns."""
        return self._moved(Timeline.next)

    def finish(self) -> Moment:
        """Where the caller of this frame goes on."""
        return self._moved(Timeline.finish)

    def reverse_step(self) -> Moment:
        """The line that ran before in this thread."""
        return self._moved(Timeline.reverse_step)

    def reverse_next(self) -> Moment:
        """The line that ran before in this frame, or the line that called it."""
        return self._moved(Timeline.reverse_next)

    def reverse_finish(self) -> Moment:
        """The line that called this frame."""
        return self._moved(Timeline.reverse_finish)

    def next_hit(self, place: str, condition: str | None = None) -> Moment:
        """The first hit of a line (`app.py:12`) or function after this moment, else the end."""
        return self._stopped_at(place, condition, Timeline.run)

    def previous_hit(self, place: str, condition: str | None = None) -> Moment:
        """The last hit of a line or function before this moment, else the beginning."""
        return self._stopped_at(place, condition, Timeline.reverse_run)

    def last_write(self, expression: str) -> Moment:
        """Before the line that gave the expression the value it has now; `text` says what it was before.

        The expression is a name, attribute or item, or made of these. ReplayError if no line of the recording did it.
        """
        frame = self.frame.id
        return self._moved(lambda timeline: timeline.last_write(expression, frame))

    def next_write(self, expression: str) -> Moment:
        """Where the value is another one for the first time after this moment, else the end; `text` says from what."""
        frame = self.frame.id

        def move(timeline: Timeline) -> Stop:
            timeline.watch(_WATCH, expression, frame)
            try:
                return timeline.run()
            finally:
                timeline.keep_watches([])

        return self._moved(move)

    def _stopped_at(self, place: str, condition: str | None, run: Callable[[Timeline], Stop]) -> Moment:
        def move(timeline: Timeline) -> Stop:
            (status,) = timeline.set_breakpoints([place_of(place, condition)])
            try:
                if not status.verified:
                    raise ReplayError(status.message)
                return run(timeline)
            finally:
                timeline.set_breakpoints([])

        return self._moved(move)

    def _moved(self, motion: Callable[[Timeline], Stop]) -> Moment:
        timeline = self._timeline
        return Moment(self.trace, self.player.move(lambda: motion(timeline)))

    @property
    def _timeline(self) -> Timeline:
        """The timeline, standing here."""
        return self.player.at(self.place)


