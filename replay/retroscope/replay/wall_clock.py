"""When the ticks of a recording were: wall-clock time, from the readings that the record holds.

Known are the start and the end of the process, whatever the program asked of the clock, and what the recorder noted of
it; between two of these, time is spread evenly over the ticks.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from retroscope.replay.index_facts import Kind
from retroscope.replay.observation import Observation, facts
from retroscope.replay.recording import Recording

_MOST_READINGS = 100_000
_READINGS = {"time.time": 1.0, "time.time_ns": 1e-9, "": 1.0}
"""Callables, "" the recorder itself, and the unit of their results in seconds."""


class WallClock:
    """`seconds(tick)` since `began` (Unix time). `readings`: how many readings of the program's it goes by."""

    def __init__(self, points: Iterable[tuple[int, float]]) -> None:
        """`points`: (tick, Unix time), in order of ticks; those that go backwards are left out."""
        self._ticks: list[int] = []
        self._times: list[float] = []
        for tick, time in points:
            if not self._times or (tick > self._ticks[-1] and time >= self._times[-1]):
                self._ticks.append(tick)
                self._times.append(time)
        self.began = self._times[0]
        self.readings = max(len(self._ticks) - 2, 0)

    def seconds(self, tick: int) -> float:
        """Since the start of the process."""
        after = min(max(bisect_right(self._ticks, tick), 1), len(self._ticks) - 1)
        if after == 0 or len(self._ticks) == 1:
            return 0.0
        first, last = self._ticks[after - 1], self._ticks[after]
        part = (tick - first) / (last - first)
        return self._times[after - 1] + part * (self._times[after] - self._times[after - 1]) - self.began


def wall_clock(recording: Recording) -> WallClock | None:
    """None when not even the end of the process is known. Replays the recording once."""
    process = recording.process
    readings = _readings(recording)
    points = [(0, process.started)]
    observation = Observation(recording)
    used, last = 0, 0
    for block in observation.blocks():
        for _, tick, count in facts(block, Kind.INPUT):
            reading = None
            while used < len(readings) and readings[used][0] < count:
                reading = readings[used][1]
                used += 1
            if reading is not None:
                points.append((tick, reading))
    if observation.end is not None:
        last = observation.end.tick + 1
    if process.finished is not None and last > points[-1][0]:
        points.append((last, process.finished))
    return WallClock(points) if len(points) > 1 else None


def _readings(recording: Recording) -> list[tuple[int, float]]:
    """(input, Unix time) of what the program was told, at most some 100,000, evenly over time."""
    process = recording.process
    apart = ((process.finished or process.started) - process.started) / _MOST_READINGS
    found: list[tuple[int, float]] = []
    for number, name, value in recording.results_of(_READINGS):
        if isinstance(value, (int, float)):
            time = value * _READINGS[name]
            if not found or time >= found[-1][1] + apart:
                found.append((number, time))
    return found
