"""What the processes of a trace wrote, together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import merge

from retroscope.replay.moments import OutputChunk
from retroscope.replay.recording import Recording

_UNKNOWN = float("-inf")


def in_order(recordings: Iterable[Recording]) -> Iterator[tuple[Recording, OutputChunk]]:
    """Every piece of output of these processes, in the order in which they were written.

    A record without times, as older recorders made it, tells no order between processes: then one comes after the
    other.
    """
    timed = (_timed(recording) for recording in recordings)
    return ((recording, chunk) for _, recording, chunk in merge(*timed, key=lambda piece: piece[0]))


def _timed(recording: Recording) -> Iterator[tuple[float, Recording, OutputChunk]]:
    """With the time of each; a piece whose time is not known has that of the one before."""
    last = _UNKNOWN
    for chunk, time in recording.own_output_with_times():
        last = last if time is None else max(last, time)
        yield last, recording, chunk
