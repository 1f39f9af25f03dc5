"""Takes what the program records out of the ring and stores it, as fast as it comes and with little noise.

Every half second at the latest, what has come is committed, so a trace can be read while it grows and loses nothing
of what the program had completed when it dies.
"""

from __future__ import annotations

import select
import time

from retroscope.recorder._core import RecordScanner
from retroscope.recorder.closing import say
from retroscope.trace.writer import StorageFull, TraceWriter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from retroscope.recorder._core import RingConsumer
    from retroscope.trace.claim import Claim

MOST_TAKEN = 1 << 20  # bytes of stream in a chunk, about
_WORTH_A_CHUNK = 1 << 18
_MOST_AGE = 0.4  # seconds until what has come is committed
_BEHIND = 1 << 22  # bytes waiting in the ring: compress faster
_SHORTEST_WAIT, _LONGEST_WAIT = 1, 20  # milliseconds between two looks into the ring
_NOT_STARTED, _GAVE_UP = 0, 3  # states of the producer


class Drain:
    """One recorded process and the trace it goes to."""

    def __init__(
        self, consumer: RingConsumer, claim: Claim, recording: dict[str, object], facts: dict[str, object]
    ) -> None:
        self._consumer = consumer
        self.stopped: str | None = None  # why storing ended before the program
        self.nothing_stored = False
        self._writer = TraceWriter(claim, recording)
        self.process = self._writer.add_process(RecordScanner(), facts)
        self._oldest = 0.0  # when the first pending byte came
        self._commit()

    @property
    def size(self) -> int:
        """Bytes of the trace."""
        return self._writer.size

    def run(self, program: int, meanwhile: Callable[[], None]) -> None:
        """Drains until the process behind the pidfd `program` is dead or nothing more can be stored.

        The ring may not be empty then. `meanwhile` is called every few milliseconds.
        """
        poller = select.poll()
        poller.register(program, select.POLLIN)
        wait = _SHORTEST_WAIT
        while self.stopped is None:
            meanwhile()
            taken = self._take()
            if taken >= _WORTH_A_CHUNK:
                wait = 0
            else:
                wait = _SHORTEST_WAIT if taken > 1 << 16 else min(2 * max(wait, 1), _LONGEST_WAIT)
            if poller.poll(wait):
                return

    def finish(self, ended: str, number: int) -> None:
        """Stores what the dead program left in the ring, and how it ended; closes the trace."""
        if self.stopped is None:
            while self._take():
                pass
        if self.stopped is None:
            if self._consumer.producer_state == _GAVE_UP:
                self.process.facts["stopped"] = "the recorder inside the program gave up"
            elif self._consumer.producer_state == _NOT_STARTED:
                self.process.facts["stopped"] = "the recorder inside the program did not start"
                say("the recorder did not start inside the program, so nothing was recorded")
            self.process.facts["ended"] = (ended, number)
            self.process.facts["finished"] = time.time()
            try:
                self._writer.close()
            except StorageFull as full:
                self._stop(str(full))

    def _take(self) -> int:
        """Moves a piece out of the ring, and commits when it is time; returns the bytes moved."""
        if self.stopped is not None:
            return 0
        data = self._consumer.take(MOST_TAKEN)
        now = time.monotonic()
        if data:
            if not self.process.pending:
                self._oldest = now
            self.process.append(data)
        pending = self.process.pending
        if pending >= _WORTH_A_CHUNK or (pending and now - self._oldest >= _MOST_AGE):
            self._writer.hurry(self._consumer.head - self._consumer.tail > _BEHIND)
            self._commit()
        return len(data)

    def _commit(self) -> None:
        try:
            self._writer.commit()
        except StorageFull as full:
            self._stop(str(full))

    def _stop(self, reason: str) -> None:
        """Nothing more can be stored: the trace ends at its last good commit, the program goes on."""
        self._consumer.refuse()
        self.stopped = reason
        self.process.facts["stopped"] = reason
        self.nothing_stored = not self._writer.begun
        try:
            self._writer.close(stopped=reason)
        except StorageFull as full:
            reason = f"{reason}; {full}"
        say(
            f"recording stopped: {reason}; the program goes on, and "
            + ("no trace was made" if self.nothing_stored else "the trace is good up to here")
        )
