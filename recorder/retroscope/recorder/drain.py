"""Takes what the program's processes record out of their rings and stores it, as fast as it comes, with little noise.

Every half second at the latest, what has come is committed, so a trace can be read while it grows and loses nothing
of what the program had completed when it dies.
"""

from __future__ import annotations

import resource
import select
import time

from retroscope.recorder._core import RecordScanner
from retroscope.recorder.family import Family, Member
from retroscope.recorder.saying import say
from retroscope.trace.writer import StorageFull, TraceWriter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from retroscope.recorder._core import RingConsumer
    from retroscope.recorder.door import Door
    from retroscope.trace.claim import Claim
    from retroscope.trace.redaction import Redaction

MOST_TAKEN = 1 << 20  # bytes of stream in a chunk, about
_WORTH_A_CHUNK = 1 << 18
_MOST_AGE = 0.4  # seconds until what has come is committed
_BEHIND = 1 << 22  # bytes waiting in the rings: compress faster
_SHORTEST_WAIT, _LONGEST_WAIT = 1, 20  # milliseconds between two looks into the rings
_SILENCE = 2.0  # seconds that the program's processes may outlast it before we say what we wait for
_NOT_STARTED = 0  # state of the producer


class Drain:
    """The recorded processes and the trace they go to. `process` is the first, the program itself."""

    def __init__(
        self,
        consumer: RingConsumer,
        claim: Claim,
        recording: dict[str, object],
        facts: dict[str, object],
        door: Door | None = None,
        redaction: Redaction | None = None,
    ) -> None:
        self.stopped: str | None = None  # why storing ended before the program
        self.nothing_stored = False
        self._claim = claim
        self._writer = TraceWriter(claim, recording, redaction)
        self.process = self._writer.add_process(RecordScanner(), facts)
        self._first = Member(consumer, self.process)
        self._family = Family(self._writer, door)
        self._oldest = 0.0  # when the first pending byte came
        self._commit()

    @property
    def size(self) -> int:
        """Bytes of the trace."""
        return self._writer.size

    @property
    def lost(self) -> bool:
        """Has somebody taken away the trace that was begun?"""
        return self._writer.begun and not self._claim.in_place

    @property
    def processes(self) -> int:
        """How many were recorded."""
        return len(self._writer.processes)

    @property
    def records(self) -> int:
        """Inputs of all of them that are in the trace."""
        return sum(process.records for process in self._writer.processes)

    @property
    def notes(self) -> list[str]:
        """What a person should know, of all of them, each once."""
        return list(dict.fromkeys(note for process in self._writer.processes for note in process.notes))

    def run(self, program: int, meanwhile: Callable[[], None]) -> None:
        """Drains until the process behind the pidfd `program` is dead or nothing more can be stored.

        The rings may not be empty then. `meanwhile` is called every few milliseconds.
        """
        wait = _SHORTEST_WAIT
        while self.stopped is None:
            meanwhile()
            taken = self._take()
            wait = self._next_wait(taken, wait)
            if self._attend(wait, program):
                return

    def finish(self, ended: str, number: int, interrupted: Callable[[], bool] = lambda: False) -> None:
        """Stores what the dead program left in the ring, and how it ended; closes the trace.

        Processes of the program that outlast it are recorded to their end, or until `interrupted` says so.
        """
        if self.stopped is None:
            while self._take():
                pass
        if self.stopped is None:
            self._first.note_state()
            if self._first.consumer.producer_state == _NOT_STARTED:
                say("the recorder did not start inside the program, so nothing was recorded")
            self._attend(0)
            last = self._family.successor or self.process  # it may have become another Python
            last.facts["ended"] = (ended, number)
            self.process.facts["finished"] = last.facts["finished"] = time.time()
            self.process.facts["most_memory"] = _most_memory()
            self._outlast(interrupted)
        if self.stopped is None:
            try:
                self._writer.close()
            except StorageFull as full:
                self._stop(str(full))
        self._family.close()

    def _outlast(self, interrupted: Callable[[], bool]) -> None:
        """Drains the processes that go on after the program's own end."""
        began, wait, said = time.monotonic(), _SHORTEST_WAIT, False
        while self.stopped is None and self._family.any_left:
            if interrupted():
                self._abandon()
                return
            if not said and time.monotonic() - began > _SILENCE:
                said = True
                pids = ", ".join(map(str, self._family.pids))
                say(f"the program has ended, its processes go on and are recorded: {pids}; Ctrl-C stops the recording")
            wait = self._next_wait(self._take(), wait)
            self._attend(wait)
        while self._take():
            pass

    def _abandon(self) -> None:
        """Those that still run go on unrecorded."""
        while self._take():
            pass
        for member in self._family.members.values():
            member.consumer.refuse()
            member.process.facts["stopped"] = "the recording was ended before the process"

    def _next_wait(self, taken: int, wait: int) -> int:
        if taken >= _WORTH_A_CHUNK:
            return 0
        return _SHORTEST_WAIT if taken > 1 << 16 else min(2 * max(wait, 1), _LONGEST_WAIT)

    def _attend(self, wait: int, program: int = -1) -> bool:
        """Waits up to so many milliseconds for something to happen, and does what is due; True: the program is dead."""
        poller = select.poll()
        for descriptor in self._family.descriptors:
            poller.register(descriptor, select.POLLIN)
        if program >= 0:
            poller.register(program, select.POLLIN)
        over = False
        for descriptor, _ in poller.poll(wait):
            if descriptor == program:
                over = True
            else:
                self._family.attend(descriptor)
        return over

    def _take(self) -> int:
        """Moves pieces out of the rings, and commits when it is time; returns the bytes moved."""
        if self.stopped is not None:
            return 0
        members = (self._first, *self._family.members.values())
        taken = sum(member.take(MOST_TAKEN) for member in members)
        now = time.monotonic()
        pending = self._writer.pending
        if pending and pending == taken:
            self._oldest = now
        if pending >= _WORTH_A_CHUNK or (pending and now - self._oldest >= _MOST_AGE):
            behind = sum(member.consumer.head - member.consumer.tail for member in members)
            self._writer.hurry(behind > _BEHIND)
            self._commit()
        return taken

    def _commit(self) -> None:
        try:
            self._writer.commit()
        except StorageFull as full:
            self._stop(str(full))

    def _stop(self, reason: str) -> None:
        """Nothing more can be stored: the trace ends at its last good commit, the program goes on."""
        for member in (self._first, *self._family.members.values()):
            member.consumer.refuse()
            member.process.facts["stopped"] = reason
        self._family.close()
        self.stopped = reason
        self.nothing_stored = not self._writer.begun
        try:
            self._writer.close(stopped=reason)
        except StorageFull as full:
            reason = f"{reason}; {full}"
        say(
            f"recording stopped: {reason}; the program goes on, and "
            + ("no trace was made" if self.nothing_stored else "the trace is good up to here")
        )


def _most_memory() -> int:
    """Bytes that one of the programs which we have waited for had in memory at most."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10
