"""A test double of replay processes: threads that speak Seam 4 over real sockets and run a list of ticks.

The list is the whole truth about the run, so a test can ask it by brute force what a motion should have found.
"""

from __future__ import annotations

import array
import json
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from retroscope.replay import protocol
from retroscope.replay.process import ReplayProcess
from retroscope.replay.protocol import Action, Marks, Match, Op, Reason, Stopped, TableEntry, Want

from tests.replay import fake_blocks


@dataclass(frozen=True)
class Line:
    """One line event and what happens in its line."""

    path: str = "/app.py"
    line: int = 1
    function: str = "<module>"
    depth: int = 1
    thread: int = 1
    visible: bool = True
    raises: bool = False
    inputs: int = 0


@dataclass
class Run:
    """The recorded run: line number `t` happens at tick `t`; entry 0 is what precedes the first line."""

    lines: list[Line]
    uncaught: str | None = None
    failure: int | None = None
    looker: Callable[[socket.socket, int], None] | None = None
    living: set[int] = field(default_factory=set)
    ticks_run: int = 0

    @property
    def last(self) -> int:
        return len(self.lines) - 1

    def input_at(self, tick: int) -> int:
        """Inputs used before the line of `tick` runs."""
        return sum(line.inputs for line in self.lines[:tick])

    def ending(self) -> str:
        return json.dumps({"status": 1 if self.uncaught else 0, "uncaught": self.uncaught, "raise_tick": self.failure})

    def line_matches(self, tick: int, want: int, max_depth: int, thread: int, table: list[TableEntry]) -> list[Match]:
        """What the line event of `tick` matches, as the C core decides it."""
        line = self.lines[tick]
        found = []
        if want & Want.BREAKPOINT:
            for entry in table:
                if (entry.line and (entry.name, entry.line) == (line.path, line.line)) or (
                    not entry.line and entry.name == line.function and self.enters(tick)
                ):
                    found.append(Match(tick, Want.BREAKPOINT, entry.id, line.depth, line.thread))
        shown = (line.visible or not want & Want.VISIBLE) and (not thread or line.thread == thread)
        if shown and want & Want.SHALLOW and line.depth <= max_depth:
            found.append(Match(tick, Want.SHALLOW, self.enters(tick), line.depth, line.thread))
        elif shown and want & Want.LINE:
            found.append(Match(tick, Want.LINE, 0, line.depth, line.thread))
        return found

    def enters(self, tick: int) -> bool:
        return tick > 1 and self.lines[tick].depth > self.lines[tick - 1].depth

    def stack_at(self, tick: int) -> list[int]:
        """Words for the frames of the running thread, innermost first: each frame by the tick at which it began."""
        stack: list[int] = []
        for at in range(1, tick + 1):
            line = self.lines[at]
            if line.thread == self.lines[tick].thread:
                del stack[line.depth :]
                stack += [(at * 1024 + depth) * 8 + 2 * line.visible for depth in range(len(stack), line.depth)]
        return stack[::-1]

    def marked_match(self, tick: int, marks: Marks) -> Match | None:
        frame = next(iter(self.stack_at(tick)), None)
        if frame not in marks.words[marks.first :] or not frame & Marks.VISIBLE:
            return None
        line = self.lines[tick]
        return Match(tick, Want.MARKED, marks.words.index(frame), line.depth, line.thread)

    def marked_summary(self, start: int, until: int, marks: Marks) -> Match:
        """What a run from `start` to `until` says of the marked frames, by brute force. Knows no generators."""
        beginning = self.beginning(marks.words[marks.first]) if marks.beginning else marks.before
        for tick in range(min(until, marks.before - 1, beginning - 1), start, -1):
            found = self.marked_match(tick, marks)
            if found and (not marks.beginning or found.detail > marks.first):
                return Match(tick, Want.MARKED, found.detail << 1, 0, 1)
        seeks_beginning = marks.beginning and not start < beginning <= until
        return Match(0, Want.MARKED, marks.first << 1 | seeks_beginning, 0, 1)

    def beginning(self, word: int) -> int:
        return word // 8 // 1024

    def raise_matches(self, tick: int, want: int) -> list[Match]:
        line = self.lines[tick]
        if not want & Want.RAISE or not line.raises:
            return []
        if want & Want.VISIBLE and not line.visible:
            return []
        return [Match(tick, Want.RAISE, 0, line.depth, line.thread)]


class FakeProcess:
    """Serves one socket. `inside` says that the line of `tick` has raised already."""

    pids = iter(range(-2, -1 << 30, -1))

    def __init__(
        self, run: Run, control: socket.socket, tick: int, table: list[TableEntry], inside: bool = False
    ) -> None:
        self.run, self.control, self.tick, self.table, self.inside = run, control, tick, table, inside
        self.over = False
        self.observed = -1
        self.marks = Marks(())
        self.marked_at = 0
        self.pid = 0
        self.number = next(self.pids)

    def start(self, first: bytes) -> None:
        self.run.living.add(self.number)
        threading.Thread(target=self.serve, args=(first,), daemon=True).start()

    def serve(self, first: bytes) -> None:
        try:
            self.control.send(first)
            while data := self.receive():
                self.answer(data)
        except OSError:
            pass
        finally:
            self.control.close()
            if self.observed >= 0:
                os.close(self.observed)
            self.run.living.discard(self.number)

    def receive(self) -> bytes:
        self.passed = None
        data, ancillary, _, _ = self.control.recvmsg(1 << 20, socket.CMSG_SPACE(4))
        for _, _, payload in ancillary:
            (fd,) = array.array("i", payload[:4])
            if protocol.op_of(data) == Op.OBSERVE:
                self.observed = fd
            else:
                self.passed = socket.socket(fileno=fd)
        return data

    def answer(self, data: bytes) -> None:
        op = protocol.op_of(data)
        if op == Op.RUN and self.observed >= 0:
            self.control.send(protocol.pack_stopped(self.go_observed(*protocol.unpack_run(data))))
        elif op == Op.RUN:
            self.control.send(protocol.pack_stopped(self.go(*protocol.unpack_run(data))))
        elif op == Op.BREAKPOINTS:
            self.table = protocol.unpack_breakpoints(data)
        elif op == Op.STACK:
            self.control.send(protocol.pack_frames(self.run.stack_at(self.tick)))
        elif op == Op.MARK:
            self.marks, self.marked_at = protocol.unpack_marks(data), self.tick
        elif op == Op.FORK:
            assert self.passed is not None
            child = FakeProcess(self.run, self.passed, self.tick, list(self.table), self.inside)
            child.over, child.marks, child.marked_at = self.over, self.marks, self.marked_at
            child.start(protocol.pack_hello(0, self.tick))
        elif op == Op.LOOK:
            assert self.passed is not None and self.run.looker is not None
            threading.Thread(target=self.run.looker, args=(self.passed, self.tick), daemon=True).start()

    def go_observed(self, until: int, *rest: int) -> Stopped:
        start = self.tick
        stopped = self.go(until, *rest)
        for first in range(start + 1, self.tick + 1, fake_blocks.TICKS):
            last = min(first + fake_blocks.TICKS - 1, self.tick)
            block = fake_blocks.pack(self.run, first, last)
            data = len(block).to_bytes(4, "little") + block
            while data:
                data = data[os.write(self.observed, data) :]
        return stopped

    def go(self, until: int, want: int, max_depth: int, action: int, thread: int) -> Stopped:
        assert not self.over, "RUN after the end"
        matches: list[Match] = []
        while True:
            if not self.inside:
                self.inside = True
                found = self.run.raise_matches(self.tick, want)
                matches += found
                if found and action == Action.STOP:
                    return self.stopped(Reason.MATCH, found)
            if self.tick == self.run.last:
                self.over = True
                return self.stopped(Reason.END, self.with_summary(matches, want, action), self.run.ending())
            self.tick += 1
            self.run.ticks_run += 1
            self.inside = False
            found = self.run.line_matches(self.tick, want, max_depth, thread, self.table)
            marked = self.run.marked_match(self.tick, self.marks) if want & Want.MARKED else None
            if marked and action == Action.STOP:
                found.append(marked)
            matches += found
            if found and action == Action.STOP:
                return self.stopped(Reason.MATCH, found)
            if self.tick >= until:
                return self.stopped(Reason.LIMIT, self.with_summary(matches, want, action))

    def with_summary(self, matches: list[Match], want: int, action: int) -> list[Match]:
        if not want & Want.MARKED or action == Action.STOP:
            return matches
        return [*matches, self.run.marked_summary(self.marked_at, self.tick, self.marks)]

    def stopped(self, reason: Reason, matches: list[Match], text: str = "") -> Stopped:
        line = self.run.lines[self.tick]
        plain = [match for match in matches if match.kind != Want.MARKED or reason is Reason.MATCH]
        last = (*plain[-protocol.MOST_REPORTED :], *matches[len(plain) :])
        return Stopped(
            reason, self.pid, self.tick, self.run.input_at(self.tick), line.depth, line.thread, len(plain), last, text
        )


def launch(run: Run) -> ReplayProcess:
    """A root process of `run`, ready at tick 0."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    root = FakeProcess(run, theirs, 0, [])
    root.inside = True
    root.start(protocol.pack_stopped(root.stopped(Reason.READY, [])))
    return ReplayProcess.adopt(ours)
