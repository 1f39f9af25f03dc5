"""A replay process that tells what it sees while it runs. Linux only: pipes of a chosen size.

What it writes is flushed before each stop, so a stop that has been read means that the rest is in the pipe.
"""

from __future__ import annotations

import fcntl
import os
import select
from collections.abc import Iterator, Sequence

from retroscope.replay.moments import ReplayError
from retroscope.replay.process import ReplayProcess
from retroscope.replay.protocol import Stopped, Want

_PIPE_BYTES = 1 << 20
_LARGEST_BLOCK = 1 << 24


class Observer:
    """Takes `process` over, which stands; what it sends of one run is `blocks` after that run."""

    def __init__(self, process: ReplayProcess, all_code: bool) -> None:
        self.process = process
        self.segment = process.tick + 1
        """The first tick that it sees."""
        self.blocks: list[bytes] = []
        self._partial = bytearray()
        self._reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            os.set_blocking(writing, True)
            _enlarge(writing)
            process.observe(writing, all_code)
        finally:
            os.close(writing)

    def descriptors(self) -> tuple[int, int]:
        """What to wait for while it runs: the stop, and more of a block."""
        return self.process.fileno(), self._reading

    def begin(self, until: int) -> None:
        """Lets it run to tick `until`; the blocks of the run before are forgotten."""
        self.blocks = []
        self.process.begin_run(until, Want.NOTHING)

    def read(self) -> None:
        """Takes what there is of blocks."""
        while True:
            try:
                data = os.read(self._reading, _PIPE_BYTES)
            except BlockingIOError:
                return
            if not data:
                return
            self._partial += data
            self._cut()

    def _cut(self) -> None:
        at = 0
        while len(self._partial) - at >= 4:
            size = int.from_bytes(self._partial[at : at + 4], "little")
            if size > _LARGEST_BLOCK:
                raise ReplayError("a replay process sent observations that make no sense")
            if len(self._partial) - at - 4 < size:
                break
            with memoryview(self._partial) as view:
                self.blocks.append(bytes(view[at + 4 : at + 4 + size]))
            at += 4 + size
        del self._partial[:at]

    def finish(self) -> Stopped:
        """The stop of the run, once its descriptor is readable; `blocks` has everything then."""
        stopped = self.process.finish_run()
        self.read()
        if self._partial:
            raise ReplayError("a replay process stopped in the middle of its observations")
        return stopped

    def close(self) -> None:
        os.close(self._reading)
        self.process.kill()


def _enlarge(pipe: int) -> None:
    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    except PermissionError:
        return  # the user's pipes have used up their memory: a small one does it too, slower


def wait_for(descriptors: Sequence[int], seconds: float) -> Iterator[int]:
    """Those of the descriptors that can be read, waiting for one if there is none."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return (descriptor for descriptor, _ in poll.poll(seconds * 1000))
