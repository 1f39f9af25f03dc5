"""The processes of a recording: those that run, those that are about to, and how each of them ended.

The program's first process is a child of ours. Of the others we know what they say themselves (that they exit, in their
ring), what their parents learn from waitpid, and what the system tells of a zombie.
"""

from __future__ import annotations

import os
import time

from retroscope.recorder._core import RecordScanner, RingConsumer
from retroscope.recorder.door import Ended, Forked, Forking, SawStart, Started
from retroscope.recorder.spawn import SMALL_RING_BYTES, make_ring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from retroscope.recorder.door import Door, Visitor
    from retroscope.trace.writer import ProcessWriter, TraceWriter

_GAVE_UP, _NOT_STARTED = 3, 0  # states of the producer
_INHERITED = ("kind", "target", "argv", "cwd", "executable", "flags", "python", "outputs")


class Member:
    """A process with its ring. `descriptor`: a pidfd, readable when it is dead; -1 when it died too soon for one."""

    def __init__(self, consumer: RingConsumer, process: ProcessWriter, descriptor: int = -1) -> None:
        self.consumer = consumer
        self.process = process
        self.descriptor = descriptor

    @property
    def pid(self) -> int:
        return int(str(self.process.facts["pid"]))

    def take(self, most: int) -> int:
        """Moves up to `most` bytes out of the ring; returns how many."""
        data = self.consumer.take(most)
        if data:
            self.process.append(data)
        return len(data)

    def note_state(self) -> None:
        """What the ring of a dead process says of its recorder."""
        if self.consumer.producer_state == _GAVE_UP:
            self.process.facts["stopped"] = "the recorder inside the program gave up"
        elif self.consumer.producer_state == _NOT_STARTED:
            self.process.facts["stopped"] = "the recorder inside the program did not start"

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1


class Expected:
    """A process that is about to be forked: its ring is given away."""

    def __init__(self, visitor: Visitor, consumer: RingConsumer, number: int, facts: dict[str, object]) -> None:
        self.number = number
        self.visitor = visitor
        self.consumer = consumer
        self.facts = facts


class Family:
    """All processes but the first. `members` run, `expected` are about to."""

    def __init__(self, writer: TraceWriter, door: Door | None) -> None:
        self._writer = writer
        self._door = door
        self._visitors: dict[int, Visitor] = {}
        self._statuses: dict[int, int] = {}  # pid → as of waitpid
        self._unknown: dict[int, ProcessWriter] = {}  # pid → dead, and nobody has said how
        self._awaited: dict[int, int] = {}  # pidfd → pid of those that will ask for a ring
        self.successor: ProcessWriter | None = None  # what the first process became by exec
        self.members: dict[int, Member] = {}  # by descriptor
        self.expected: dict[int, Expected] = {}  # by descriptor of the connection

    @property
    def descriptors(self) -> list[int]:
        """What to wait for: each becomes readable when `attend` has something to do."""
        door = [self._door.descriptor] if self._door else []
        return [*door, *self._visitors, *self.expected, *self._awaited, *self.members]

    @property
    def any_left(self) -> bool:
        return bool(self.members or self.expected or self._awaited)

    @property
    def pids(self) -> list[int]:
        """Of those that run."""
        return [member.pid for member in self.members.values()]

    def attend(self, descriptor: int) -> None:
        """Does what there is to do about a readable descriptor."""
        if self._door and descriptor == self._door.descriptor:
            for visitor in self._door.knocking():
                self._visitors[visitor.descriptor] = visitor
                self._hear(visitor.descriptor)
        elif descriptor in self._visitors:
            self._hear(descriptor)
        elif descriptor in self.expected:
            self._welcome(descriptor)
        elif descriptor in self._awaited:
            self._await_no_longer(descriptor)  # it died before it could ask
        elif descriptor in self.members:
            self._bury(self.members.pop(descriptor))

    def close(self) -> None:
        """Lets everybody go who is still there."""
        if self._door:
            self._door.close()
            self._door = None
        for member in self.members.values():
            member.close()
        for visitor in (*self._visitors.values(), *(each.visitor for each in self.expected.values())):
            visitor.close()
        self.members, self.expected, self._visitors = {}, {}, {}

    def _hear(self, descriptor: int) -> None:
        visitor = self._visitors[descriptor]
        try:
            said = visitor.hear()
        except BlockingIOError:
            return
        del self._visitors[descriptor]
        if isinstance(said, Forking):
            self._prepare(visitor, said)
            return
        if isinstance(said, Started):
            self._admit(visitor, said)
        visitor.close()
        if isinstance(said, Ended):
            self._note_end(said.pid, said.status)
        elif isinstance(said, SawStart):
            self._await(said.pid)

    def _await(self, pid: int) -> None:
        """A process that was started, whose recorder has yet to come; it may have come already, or be dead."""
        if any(member.pid == pid for member in self.members.values()):
            return
        try:
            self._awaited[os.pidfd_open(pid)] = pid
        except ProcessLookupError:
            return

    def _await_no_longer(self, descriptor: int) -> None:
        del self._awaited[descriptor]
        os.close(descriptor)

    def _admit(self, visitor: Visitor, said: Started) -> None:
        """A Python that joins; it may be one that is known, and has called exec."""
        if self._door is None:
            return
        for descriptor, pid in list(self._awaited.items()):
            if pid == said.pid:
                self._await_no_longer(descriptor)
        number = self._writer.claim_number()
        ring = make_ring(self._door.name, number, SMALL_RING_BYTES)
        try:
            facts = {"pid": said.pid, "parent": said.parent, "started": time.time(), **said.facts}
            member = Member(RingConsumer(ring), self._writer.add_process(RecordScanner(), facts, number))
            self._replace(said.pid, member)
            visitor.give(ring)
        finally:
            os.close(ring)

    def _replace(self, pid: int, member: Member) -> None:
        """Takes `member` in; the process that had its pid before has become it."""
        before = next((each for each in self.members.values() if each.pid == pid), None)
        first = self._writer.processes[0]
        if before is not None:
            del self.members[before.descriptor]
            while before.take(-1):
                pass
            before.process.facts["finished"] = time.time()
            before.process.facts["ended"] = ("replaced", member.process.number)
            before.close()
        elif first.facts.get("pid") == pid:
            (self.successor or first).facts["ended"] = ("replaced", member.process.number)
            self.successor = member.process
        try:
            member.descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            self._bury(member)
        else:
            self.members[member.descriptor] = member

    def _prepare(self, visitor: Visitor, said: Forking) -> None:
        parent = self._facts_of(said.parent)
        if parent is None or self._door is None:
            visitor.close()
            return
        number = self._writer.claim_number()
        ring = make_ring(self._door.name, number, SMALL_RING_BYTES)
        try:
            facts = {name: parent[name] for name in _INHERITED if name in parent}
            facts |= {"parent": said.parent, "forked": (said.length, said.records)}
            self.expected[visitor.descriptor] = Expected(visitor, RingConsumer(ring), number, facts)
            visitor.give(ring)
        finally:
            os.close(ring)

    def _facts_of(self, number: int) -> dict[str, object] | None:
        """A child may fork before we have heard of its own birth."""
        process = self._writer.process(number)
        if process is not None:
            return process.facts
        return next((each.facts for each in self.expected.values() if each.number == number), None)

    def _welcome(self, descriptor: int) -> None:
        """The child of an announced fork has taken its ring, or there will be none."""
        expected = self.expected[descriptor]
        try:
            said = expected.visitor.hear()
        except BlockingIOError:
            return
        del self.expected[descriptor]
        expected.visitor.close()
        if not isinstance(said, Forked):
            return
        facts = {**expected.facts, "pid": said.pid, "started": time.time()}
        member = Member(expected.consumer, self._writer.add_process(RecordScanner(), facts, expected.number))
        try:
            member.descriptor = os.pidfd_open(said.pid)
        except ProcessLookupError:
            self._bury(member)  # dead, and its parent knows
        else:
            self.members[member.descriptor] = member

    def _bury(self, member: Member) -> None:
        """Everything that it left; how it ended, as far as that is known by now."""
        pid = member.pid
        while member.take(-1):
            pass
        member.note_state()
        member.process.facts["finished"] = time.time()
        said = member.consumer.exit_status
        zombie = _status_of_zombie(pid)
        if member.consumer.replaced:
            member.process.facts["replaced"] = True
        if said:
            member.process.facts["ended"] = ("exited", said - 1)
        else:
            self._unknown[pid] = member.process
            status = self._statuses.pop(pid, zombie)
            if status is not None:
                self._note_end(pid, status)
        member.close()

    def _note_end(self, pid: int, status: int) -> None:
        process = self._unknown.pop(pid, None)
        if process is None:
            self._statuses[pid] = status
            return
        exited = os.waitstatus_to_exitcode(status)
        process.facts["ended"] = ("exited", exited) if exited >= 0 else ("signal", -exited)


def _status_of_zombie(pid: int) -> int | None:
    """As of waitpid, of a dead process that nobody has waited for as yet."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return int(fields[49]) if len(fields) > 49 and fields[0] in (b"Z", b"X") else None
