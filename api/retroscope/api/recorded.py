"""A trace as scripts see it: one recorded process of it, and the way to the others."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Self

from retroscope.api.calls import Call
from retroscope.api.moments import Moment
from retroscope.api.player import Player, place_of
from retroscope.api.records import Input, Output
from retroscope.replay.build import build_warning
from retroscope.replay.moments import InputId, ReplayError, Tick
from retroscope.replay.moments import Moment as Stop
from retroscope.replay.recording import Recording
from retroscope.trace import Process

Progress = Callable[[int, int, int], None]
"""Called now and then while a replay runs: ticks done, inputs done, inputs in all."""

_CALLS = ("result", "raised")


class Trace:
    """A recorded process. Close it, or use it in a `with` statement: replay processes live until then.

    Nothing is replayed until a moment is asked for. Not for several threads at once.
    """

    def __init__(self, path: str, process: int | None, all_code: bool, progress: Progress | None) -> None:
        self.path = path
        """The file, as it was named."""
        self._recording = Recording(path, process)
        self.warning: str = build_warning(self._recording)
        """A sentence when another build of Retroscope or Python recorded it; else empty."""
        self._all_code = all_code
        self._progress = progress
        self._others: list[Trace] = []
        self.process: Process = self._recording.process
        """The facts of this process: id, pid, argv, cwd, started and finished (Unix time, seconds), ended, notes, …"""
        self.player = Player(path, self.process.id, all_code, progress)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends every replay process, also of the traces that `of` gave."""
        for other in self._others:
            other.close()
        self.player.close()
        self._recording.close()

    def __repr__(self) -> str:
        return f"<trace {self.path}, process {self.process.id}: {' '.join(self.process.argv)}>"

    # -- facts, without replaying

    @property
    def exit_status(self) -> int | None:
        """With which the process exited by itself, else None."""
        return self._recording.exit_status

    @property
    def cut_off(self) -> str | None:
        """Why the record ends before the program did, for a sentence; None when it is complete."""
        return self._recording.cut_off

    def processes(self) -> list[Process]:
        """Every process of the trace, in order of start."""
        return self._recording.processes()

    def of(self, process: int) -> Trace:
        """The same trace, seen as the process with this number; it is closed with this one."""
        other = Trace(self.path, process, self._all_code, self._progress)
        self._others.append(other)
        return other

    def source(self, path: str) -> str | None:
        """The text of a source file as it ran; None when the trace has none of this path."""
        return self._recording.source(path)

    def source_paths(self) -> list[str]:
        """Every source file that ran."""
        return self._recording.source_paths()

    def output(self) -> Iterator[Output]:
        """What the process wrote to stdout and stderr, in order."""
        return (Output(self, chunk) for chunk in self._recording.own_output() if chunk.data)

    def inputs(self, name: str | None = None, first: int | None = None) -> Iterator[Input]:
        """The records of the process, from number `first` on; `name`: only what calls like this (`time.*`) gave.

        Without `first` from the process's own first one: what a forked process has from its parent comes before.
        The values are as recorded, secrets included.
        """
        start = self._recording.first_input if first is None else first
        for number, called, kind, value in self._recording.records_from(start):
            if name is None or (kind in _CALLS and fnmatchcase(called, name)):
                yield Input(self, number, called, kind, value)

    # -- moments

    def entry(self) -> Moment:
        """Before the first line of the process's own code."""
        return Moment(self, self.player.entry)

    def end(self) -> Moment:
        """After the last line."""
        return self._moment(self.player.timeline.goto_end)

    def failure(self) -> Moment:
        """Where the exception was raised that ended the program. ReplayError if there was none."""
        return self._moment(self.player.timeline.goto_failure)

    def at(self, tick: int) -> Moment:
        """Before line number `tick` of the run, counted from 1. ReplayError if the recording ends before."""
        return self._moment(lambda: self.player.timeline.goto(Tick(tick)))

    def at_input(self, number: int) -> Moment:
        """Before the line that makes this input."""
        return self._moment(lambda: self.player.timeline.goto_input(InputId(number)))

    def at_output(self, line: int) -> Moment:
        """Before the line of code that wrote the end of the `line`-th line of output, both streams together."""
        return self._moment(lambda: self.player.timeline.goto_output(line))

    def at_time(self, time: str) -> Moment:
        """At a time of day, `12:34:56.789`, or so long after the start, `+3.5s`; `text` says how exactly."""
        return self._moment(lambda: self.player.timeline.goto_time(time))

    def hits(self, place: str, condition: str | None = None) -> Iterator[Moment]:
        """Every time a line (`app.py:12`) or function (`Shop.redeem`) is reached, in order.

        `condition` is an expression of the program that must hold there. One that fails counts as a hit, whose `text`
        says why. ReplayError if no such line or function was recorded.
        """
        return self._moments(self.player.sweep(place_of(place, condition), self._first))

    def calls(self, function: str, condition: str | None = None) -> Iterator[Call]:
        """Every call of a Python function, such as `Shop.redeem` or `pricing:agree`, in order."""
        place = place_of(function, condition)
        if place.function is None:
            raise ReplayError(f"{function} is a line; calls are of a function")
        return map(Call, self._moments(self.player.sweep(place, self._first)))

    def raises(self, type: str | None = None) -> Iterator[Moment]:
        """Every time an exception is raised in the user's code, caught or not; `exception` says which.

        `type`: only those of a type of this name, `ValueError` or `shop.OutOfStock`; not of its subclasses.
        """
        for moment in self._moments(self.player.sweep(None, self._first)):
            if type is None or _is_named(moment.exception, type):
                yield moment

    @property
    def _first(self) -> int:
        """Where sweeps begin: of a forked process after the fork, for the rest is its parent's."""
        return self.player.entry.tick if self._recording.first_input else 1

    def _moment(self, motion: Callable[[], Stop]) -> Moment:
        return Moment(self, self.player.move(motion))

    def _moments(self, stops: Iterator[Stop]) -> Iterator[Moment]:
        return (Moment(self, stop) for stop in stops)


def _is_named(exception: str | None, name: str) -> bool:
    raised = (exception or "").partition(":")[0]
    return raised == name or raised.endswith("." + name)


def open(
    path: str | os.PathLike[str],
    process: int | None = None,
    *,
    all_code: bool = False,
    progress: Progress | None = None,
) -> Trace:
    """Opens a trace that `scope record` has made.

    `process`: the number of one of its processes, default the program itself. `all_code`: steps and raises count in
    library code too. `progress`: called now and then while a replay runs.
    TraceError says why the file is no trace; ReplayError that it cannot be replayed here. What is in `warning` is also
    a UserWarning.
    """
    trace = Trace(os.fsdecode(path), process, all_code, progress)
    if trace.warning:
        warnings.warn(trace.warning, stacklevel=2)
    return trace


__all__ = ["Progress", "Trace", "open"]
