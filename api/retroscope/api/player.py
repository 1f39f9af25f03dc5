"""The one timeline behind all moments of a process: started at the first use, moved when a moment is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from retroscope.replay.moments import Breakpoint, Diverged, ReplayError, StopReason, Tick
from retroscope.replay.moments import Moment as Stop
from retroscope.replay.timeline import ProgressCallback, Timeline


@dataclass(frozen=True)
class Place:
    """Coordinates of a moment. `over`: after the program's last line, where the tick is still that line's."""

    tick: int
    over: bool = False


class Player:
    """Owns the timeline. `epoch` changes whenever it moves: what was looked up before is void then."""

    def __init__(self, path: str, process: int, all_code: bool, progress: ProgressCallback | None) -> None:
        self._path = path
        self._process = process
        self._all_code = all_code
        self._progress = progress
        self._opened: tuple[Timeline, Stop] | None = None
        self._closed = False
        self.epoch = 0

    def close(self) -> None:
        """Ends every replay process."""
        self._closed = True
        if self._opened is not None:
            self._opened[0].close()
        self._opened = None

    @property
    def timeline(self) -> Timeline:
        return self._open()[0]

    @property
    def entry(self) -> Stop:
        """The first line of the process's own code."""
        return self._open()[1]

    def _open(self) -> tuple[Timeline, Stop]:
        """Starts the timeline at the first use; ReplayError after `close`."""
        if self._closed:
            raise ReplayError("this trace was closed; open it again with retroscope.open")
        if self._opened is None:
            timeline = Timeline.open(self._path, self._process, self._progress)
            self._opened = timeline, timeline.now
            if self._all_code:
                timeline.visible_only = False
        return self._opened

    def at(self, place: Place) -> Timeline:
        """The timeline, standing there."""
        timeline = self.timeline
        now = timeline.now
        if Place(now.tick, now.reason is StopReason.END) != place:
            self.move(timeline.goto_end if place.over else lambda: timeline.goto(Tick(place.tick)))
        return timeline

    def move(self, motion: Callable[[], Stop]) -> Stop:
        """Runs a motion of the timeline. Raises Diverged: a script must not take it for an ordinary stop."""
        self.epoch += 1
        stop = motion()
        if stop.reason is StopReason.DIVERGED:
            raise Diverged(stop.text, self._process)
        if stop.reason is StopReason.INTERRUPTED:
            raise ReplayError(stop.text)
        return stop

    def sweep(self, place: Breakpoint | None, first: int) -> Iterator[Stop]:
        """Every hit of a place, or all that is raised, from tick `first` on; the timeline may be moved meanwhile."""
        with self.timeline.sweep(place, Tick(first)) as found:
            yield from found


def place_of(text: str, condition: str | None = None) -> Breakpoint:
    """What `app.py:12`, `function`, `Class.method` or `module:function` means."""
    path, colon, line = text.rpartition(":")
    if colon and line.isdigit():
        return Breakpoint(1, path=path, line=int(line), condition=condition)
    return Breakpoint(1, function=text, condition=condition)
