"""How the call ends that the program is in: what it returns, or that an exception passes out of it.

The index knows; else a fork of the current process runs on and tells what it sees, until the frame is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from retroscope.recorder import _core
from retroscope.replay.divergence import diverged
from retroscope.replay.index import Index, NotIndexed
from retroscope.replay.index_facts import Kind, Rendered
from retroscope.replay.index_frames import end_of, stack
from retroscope.replay.moments import Frame, ReplayError, Tick
from retroscope.replay.motion import Motion
from retroscope.replay.observing import Observer, wait_for
from retroscope.replay.protocol import Reason, Stopped
from retroscope.replay.recording import Recording

_FIRST_LEG = 1 << 12
_LARGEST_LEG = 1 << 20
_WAIT = 0.25
_FLAGS = 7  # of a word of FRAMES
_HOW = {0: "returned", 2: "raised"}


@dataclass(frozen=True)
class Outcome:
    """`tick`: of the last line before the end. `how`: returned, raised, or "" when the recording ends before the call;
    then the tick is that of the end. `value`: what it returned, as far as it was noted, or the exception."""

    tick: Tick
    how: str
    value: Rendered | None


def outcome(motion: Motion, recording: Recording, index: Index | None, tick: Tick, frames: Sequence[Frame]) -> Outcome:
    """Of the innermost of `frames`, the stack at `tick`, where the current process stands.

    ReplayError when no code runs there; Diverged.
    """
    motion.interrupted.clear()
    if not frames:
        raise ReplayError("no code is running here, so no call ends")
    visible = frames[0].visible  # of other code an index has no values
    if index is not None and visible:
        try:
            left, how, value = end_of(index, stack(index, tick)[0].id, tick)
            if left is not None:
                return Outcome(Tick(left), "raised" if how == "unwound" else how, value)
        except (NotIndexed, IndexError):
            pass  # it is found by running, too
    address = motion.current.stack()[0] & ~_FLAGS
    observer = Observer(motion.current.fork(), all_code=not visible)
    try:
        return _observed(observer, motion, recording, address)
    finally:
        observer.close()


def _observed(observer: Observer, motion: Motion, recording: Recording, address: int) -> Outcome:
    leg = _FIRST_LEG
    while True:
        observer.begin(observer.process.tick + leg)
        stopped = _finished(observer, motion)
        for block in observer.blocks:
            for _, tick, frame, how, value, _ in _core.block_events(block, 0, stopped.tick, Kind.LEAVE):
                if frame == -address and how in _HOW:
                    return Outcome(Tick(tick), _HOW[how], None if value is None else Rendered.of(value))
        if stopped.reason in (Reason.DIVERGED, Reason.SEALED):
            raise diverged(recording, stopped.text, stopped.input)
        if stopped.reason is Reason.END:
            return Outcome(Tick(stopped.tick), "", None)
        leg = min(leg * 2, _LARGEST_LEG)


def _finished(observer: Observer, motion: Motion) -> Stopped:
    """The stop of the run that was begun. ReplayError when somebody interrupts."""
    stop, blocks = observer.descriptors()
    while True:
        for descriptor in wait_for((stop, blocks), _WAIT):
            if descriptor == stop:
                return observer.finish()
            observer.read()
        if motion.interrupted.is_set():
            raise ReplayError("interrupted")
