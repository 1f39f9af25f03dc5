"""One replay process as the controller sees it: a socket, a pid, and the tick at which it stands.

A `ReplayProcess` belongs to whoever made it and is closed by them. Every method but `close` raises `ProcessDied` when
the process is gone; the caller decides whether another one can take its place.
Linux only: memory is read from /proc.
"""

from __future__ import annotations

import array
import os
import signal
import socket
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from retroscope.replay.moments import ReplayError
from retroscope.replay.protocol import (
    ANY_DEPTH,
    ANY_THREAD,
    Action,
    BadAnswer,
    Frames,
    Hello,
    Marks,
    Op,
    Reason,
    Stopped,
    TableEntry,
    Want,
    Watched,
    pack_bare,
    pack_breakpoints,
    pack_conditions,
    pack_marks,
    pack_observe,
    pack_run,
    pack_stack,
    pack_watch,
    unpack_answer,
)

_LARGEST_ANSWER = 1 << 20
_START_LIMIT = 60.0
"""Seconds a new interpreter may take to its first line; imports of `site` on a loaded machine are slow."""
_FORK_LIMIT = 30.0
_CLOCK = os.sysconf("SC_CLK_TCK")


class ProcessDied(ReplayError):
    """A replay process went away. `tick` is the last one at which it was seen."""

    def __init__(self, pid: int, tick: int) -> None:
        super().__init__(f"replay process {pid} died after tick {tick}")
        self.pid = pid
        self.tick = tick


class Way(NamedTuple):
    """Seconds of a processor, and pages of memory that may have been made: one a fault.

    Seconds of the system count a quarter: most are spent on copying pages, which another snapshot would not save.
    """

    seconds: float
    pages: int


class ReplayProcess:
    """A process that waits at `tick`; `last` is its latest STOPPED, None when it has not run since its fork."""

    def __init__(self, control: socket.socket, pid: int, tick: int, last: Stopped | None = None) -> None:
        self._control = control
        self.pid = pid
        self.tick = tick
        self.last = last
        self.table_version = 0
        """Which breakpoint table it has; a fork has its parent's."""
        self.marks: Marks | None = None
        """What its marked frames come from; a fork has its parent's."""
        self._before = Way(0.0, 0)
        self._has_run = False

    @classmethod
    def adopt(cls, control: socket.socket) -> ReplayProcess:
        """The process at the other end of `control`, which has just been started and will say READY.

        Where its record ends before the program's first line, it says END instead, and DIVERGED where it differs there.
        """
        control.settimeout(_START_LIMIT)
        process = cls(control, 0, 0)
        answer = process._receive()
        if not isinstance(answer, Stopped):
            raise ReplayError("the replay process began with an unexpected answer")
        control.settimeout(None)
        process._note(answer)
        return process

    def run(
        self,
        until: int,
        want: int = Want.NOTHING,
        max_depth: int = ANY_DEPTH,
        action: Action = Action.STOP,
        thread: int = ANY_THREAD,
    ) -> Stopped:
        """Runs on and returns where it stopped; with COLLECT it only stops at `until` or at the end."""
        self.begin_run(until, want, max_depth, action, thread)
        return self.finish_run()

    def begin_run(
        self,
        until: int,
        want: int = Want.NOTHING,
        max_depth: int = ANY_DEPTH,
        action: Action = Action.STOP,
        thread: int = ANY_THREAD,
    ) -> None:
        """The first half of `run`; `fileno` becomes readable when `finish_run` need not wait."""
        self._has_run = True
        self._send(pack_run(until, want, max_depth, action, thread))

    def finish_run(self) -> Stopped:
        answer = self._receive()
        if not isinstance(answer, Stopped):
            raise ReplayError("the replay process answered a RUN with something else")
        self._note(answer)
        return answer

    def fork(self) -> ReplayProcess:
        """A second process at the same tick."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._send(pack_bare(Op.FORK), theirs.fileno())
        ours.settimeout(_FORK_LIMIT)
        child = ReplayProcess(ours, 0, self.tick, self.last)
        try:
            answer = child._receive()
        except ProcessDied:
            child.close()
            raise ProcessDied(self.pid, self.tick) from None
        if not isinstance(answer, Hello) or answer.tick != self.tick:
            child.close()
            raise ReplayError(f"a fork of tick {self.tick} said hello with {answer}")
        ours.settimeout(None)
        child.pid = answer.pid
        child.table_version = self.table_version
        child.marks = self.marks
        child._before = self.way()
        return child

    def way(self) -> Way:
        """What led here from the last snapshot that it, or one that it was forked from, was kept as or passed."""
        if not self._has_run:
            return self._before
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return self._before
        seconds = (int(fields[11]) + int(fields[12]) / 4) / _CLOCK
        return Way(self._before.seconds + seconds, self._before.pages + int(fields[7]))

    def begin_way(self, kept: bool) -> None:
        """There is a snapshot here, or nearby; `kept`: one of this process, so that its pages count there."""
        way, before = self.way(), self._before
        self._before = Way(before.seconds - way.seconds, before.pages - way.pages if kept else before.pages)

    def fileno(self) -> int:
        """Its control socket, to wait for."""
        return self._control.fileno()

    def look(self) -> socket.socket:
        """The stream of a throw-away fork in which the inspector serves."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            self._send(pack_bare(Op.LOOK), theirs.fileno())
        return ours

    def use_stream(self, stream: int) -> None:
        """Where the program forks: goes on with the stream of the child behind this descriptor, as the child."""
        self._send(pack_bare(Op.STREAM), stream)

    def become_branch(self, output: int) -> None:
        """It is a what-if branch from now on, and writes its output to this memory file."""
        self._send(pack_bare(Op.BRANCH), output)

    def change(self) -> socket.socket:
        """The stream on which the inspector serves in this very process, a branch, until it is closed."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            self._send(pack_bare(Op.CHANGE), theirs.fileno())
        return ours

    def observe(self, blocks: int, all_code: bool = False) -> None:
        """From now on it writes what the program does to this descriptor, in blocks: docs/observations.md.

        Somebody must read meanwhile: where the descriptor is full the process waits. Its forks do not observe.
        """
        self._send(pack_observe(all_code), blocks)

    def set_breakpoints(self, table: Sequence[TableEntry], version: int) -> None:
        """Replaces the table; `version` lets the caller see later whether this process has it."""
        if self.table_version != version:
            self._send(pack_breakpoints(table))
            self.table_version = version

    def watch(self, watched: Watched) -> None:
        """What `Want.WATCH` looks at from now on."""
        self._send(pack_watch(watched))

    def judge_conditions(self, conditions: Sequence[tuple[int, str]]) -> None:
        """Lets it pass by breakpoints whose condition certainly does not hold. It is a scout from then on, and no
        snapshot: judging leaves traces in its memory."""
        self._send(pack_conditions(conditions))

    def stack(self) -> tuple[int, ...]:
        """The running thread's frames, as `Marks` has them; empty when no code of the program runs."""
        return self._frames(left=False)

    def mark(self, marks: Marks) -> None:
        """What `Want.MARKED` means; a process that has these marks already keeps what it knows of their frames."""
        if self.marks is not marks:
            self._send(pack_marks(marks))
            self.marks = marks

    def left(self) -> tuple[int, ...]:
        """The words of the marked frames, 0 for each whose place another one has taken."""
        return self._frames(left=True)

    def mark_as(self, scout: ReplayProcess, marks: Marks) -> None:
        """Marks what `scout`, which has these marks and came later, knows to be left of them."""
        self._send(pack_marks(replace(marks, words=scout._frames(left=True))))
        self.marks = marks

    def _frames(self, left: bool) -> tuple[int, ...]:
        self._send(pack_stack(left))
        answer = self._receive()
        if not isinstance(answer, Frames):
            raise ReplayError("the replay process answered a STACK with something else")
        return answer.words

    @property
    def warning(self) -> str:
        """What it said when it was ready: that this system cannot seal it, or nothing."""
        return self.last.text if self.last is not None and self.last.reason is Reason.READY else ""

    @property
    def over(self) -> bool:
        """Whether it can only be looked at and forked, not run."""
        return self.last is not None and self.last.reason in (Reason.END, Reason.DIVERGED, Reason.SEALED)

    @property
    def inside_line(self) -> bool:
        """Whether the line of its tick has partly run, because it stopped where an exception was raised."""
        last = self.last
        return last is not None and last.reason is Reason.MATCH and last.matches[-1].kind == Want.RAISE

    def memory(self) -> int:
        """Bytes of memory that are there because of it: proportional set size; 0 when it is gone."""
        try:
            with open(f"/proc/{self.pid}/smaps_rollup", "rb") as file:
                for line in file:
                    if line.startswith(b"Pss:"):
                        return int(line.split()[1]) * 1024
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return 0
        return 0

    def resident(self) -> int:
        """Bytes of memory that it sees, shared ones as well: the time of a fork goes with them; 0 when it is gone."""
        try:
            with open(f"/proc/{self.pid}/statm", "rb") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return 0

    def close(self) -> None:
        """Ends the process; harmless when it has ended already. A waiting process exits at the end of its socket."""
        self._control.close()

    def kill(self) -> None:
        """Ends it also when it is busy and does not listen."""
        if self.pid > 0 and self._is_connected():
            os.kill(self.pid, signal.SIGKILL)
        self._control.close()

    def _is_connected(self) -> bool:
        """Whether it still holds its end: only then is its pid surely its own and not a stranger's."""
        try:
            self._control.setblocking(False)
            return bool(self._control.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def _note(self, stopped: Stopped) -> None:
        self.pid, self.tick, self.last = stopped.pid, stopped.tick, stopped

    def _send(self, data: bytes, passed: int | None = None) -> None:
        ancillary = []
        if passed is not None:
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [passed]))]
        try:
            self._control.sendmsg([data], ancillary)
        except OSError as error:
            raise ProcessDied(self.pid, self.tick) from error

    def _receive(self) -> Hello | Stopped | Frames:
        try:
            data = self._control.recv(_LARGEST_ANSWER)
        except OSError as error:
            raise ProcessDied(self.pid, self.tick) from error
        if not data:
            raise ProcessDied(self.pid, self.tick)
        try:
            return unpack_answer(data)
        except BadAnswer as error:
            raise ReplayError(f"replay process {self.pid}: {error}") from error
