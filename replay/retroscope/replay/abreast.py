"""Scouts that run side by side, one a processor: what is sought may be far back, and each stretch is searched alone.

`Motion` says what a leg is and what becomes of it; here they are only waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from retroscope.replay.observing import wait_for
from retroscope.replay.process import ReplayProcess
from retroscope.replay.protocol import Match, Stopped, Want


@dataclass(frozen=True)
class Leg:
    """A run from tick `start` without a stop between."""

    start: int
    stopped: Stopped


def summary(legs: Sequence[Leg]) -> Match | None:
    """What became of the marked frames: the last word of the last leg."""
    return next((match for match in legs[-1].stopped.matches[-1:] if match.kind == Want.MARKED), None) if legs else None


@dataclass(frozen=True)
class Stretch:
    """From the snapshot at tick `start` to `until`; what is sought lies before `bound`."""

    start: int
    until: int
    bound: int


@dataclass
class Scout:
    """A process of its own on its way to `until`, and the leg that it is in."""

    process: ReplayProcess
    until: int
    start: int = 0
    goal: int = 0
    began: float = 0.0
    legs: list[Leg] = field(default_factory=list)


def run_abreast(
    scouts: Sequence[Scout], begin: Callable[[Scout], None], end: Callable[[Scout], bool], seconds: float
) -> None:
    """Lets all run. `begin` sends one off on a leg; `end` takes what came of it and says whether that was its last.

    At least every so many `seconds` one of them comes to the end of a leg, so `end` may raise to break off.
    """
    under_way = {scout.process.fileno(): scout for scout in scouts}
    for scout in scouts:
        begin(scout)
    while under_way:
        for descriptor in list(wait_for(list(under_way), seconds)):
            if end(under_way[descriptor]):
                del under_way[descriptor]
            else:
                begin(under_way[descriptor])
