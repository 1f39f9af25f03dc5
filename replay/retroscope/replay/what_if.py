"""What if: the program goes on after a change, in a fork that is thrown away, beside one that goes on as recorded.

Both run until the changed one asks the outside something that the recording does not answer. What they wrote and raised
by then is compared. Neither is ever a snapshot, and the timeline stays where it is.
"""

from __future__ import annotations

import json
import os
import struct
import time
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from retroscope.replay.legs import Interrupted
from retroscope.replay.looking import Looker, LookFailed
from retroscope.replay.moments import ReplayError, Tick, WhatIf
from retroscope.replay.motion import Motion
from retroscope.replay.process import ProcessDied, ReplayProcess
from retroscope.replay.protocol import TO_THE_END, Reason, Stopped, Want

MOST_SECONDS = 8.0
"""Of real time; less than the processor time after which the core ends a branch."""
MOST_RAISES = 50
_LEG = 1 << 19
_OUTPUT_BYTES = 1 << 24
_HEAD = struct.Struct("<QQ")
_CHUNK = struct.Struct("<II")
_MOST_LINES = 1000
_MOST_ROWS = 40


@dataclass
class _Run:
    """How far one of the two came."""

    stopped: Stopped | None = None
    """None: it died, or ran out of time."""
    input: int = 0
    tick: int = 0
    place: str = ""
    trouble: str = ""
    output: str = ""
    raises: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        return self.stopped is not None and self.stopped.reason is Reason.END

    @property
    def ending(self) -> dict[str, object]:
        said = json.loads(self.stopped.text) if self.stopped is not None and self.is_over and self.stopped.text else {}
        return said if isinstance(said, dict) else {}


class Branch:
    """One fork of a stopped process that runs on by itself; `close` ends it."""

    def __init__(self, origin: ReplayProcess, motion: Motion) -> None:
        self._motion = motion
        self._output = os.memfd_create("retroscope-branch", os.MFD_CLOEXEC)
        os.ftruncate(self._output, _OUTPUT_BYTES)
        self._process = origin.fork()
        try:
            self._process.become_branch(self._output)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._process.kill()
        os.close(self._output)

    def change(self, statement: str, frame: int) -> list[str]:
        """Runs a statement in a frame, for good; remarks about it. ReplayError: it failed, or cannot be run here."""
        looker = Looker(self._process, self._process.change())
        try:
            remarks, error = looker.ask("change", frame, statement)
        except BaseException:
            looker.close()
            raise
        looker.end()
        if error is not None:
            raise ReplayError(f"the change failed: {error}")
        return [str(remark) for remark in remarks]

    def run(self, until: int, seconds: float = MOST_SECONDS) -> _Run:
        """On to tick `until`, to the end, or to where it cannot go on."""
        run = _Run()
        deadline = time.monotonic() + seconds
        try:
            while not self._leg(run, until, deadline):
                pass
            self._look_at_end(run)
        except ProcessDied:
            run.stopped = None
            run.trouble = run.trouble or "it took too long, or too much memory, and was ended"
        self._read_output(run)
        return run

    def raise_on(self, run: _Run, input: int) -> None:
        """Adds what the line at which it stopped raises before it comes to a later input than `input`."""
        while run.stopped is not None and run.stopped.reason in (Reason.LIMIT, Reason.MATCH):
            run.stopped = self._process.run(run.tick + 1, Want.RAISE | Want.RAISE_HERE | Want.VISIBLE)
            if run.stopped.reason is not Reason.MATCH or run.stopped.input > input:
                break
            run.raises.append(self._raised())

    def _leg(self, run: _Run, until: int, deadline: float) -> bool:
        """A stretch of the way; whether it was the last."""
        if self._motion.interrupted.is_set():
            raise Interrupted
        want = Want.RAISE | Want.RAISE_HERE | Want.VISIBLE if len(run.raises) < MOST_RAISES else Want.NOTHING
        stopped = self._process.run(min(until, self._process.tick + _LEG), want)
        run.stopped, run.input, run.tick = stopped, stopped.input, stopped.tick
        if stopped.reason is Reason.MATCH:
            run.raises.append(self._raised())
            if len(run.raises) == MOST_RAISES:
                run.notes.append(f"only the first {MOST_RAISES} exceptions are compared")
        elif stopped.reason is not Reason.LIMIT or stopped.tick >= until:
            return True
        if time.monotonic() > deadline:
            run.trouble = f"it was stopped after {MOST_SECONDS:g} seconds"
            return True
        return False

    def _raised(self) -> str:
        with Looker(self._process) as looker:
            return f"{looker.ask('raising') or 'an exception'}  at {_place(looker)}"

    def _look_at_end(self, run: _Run) -> None:
        """Where it stands, and what its streams had not written yet; at the end of the program there is neither."""
        if run.is_over:
            return
        try:
            with Looker(self._process) as looker:
                run.place = _place(looker)
                error = looker.ask("flush")
        except LookFailed as failed:  # also where the interpreter is being taken down: nothing runs there any more
            error = failed
        if error is not None:
            run.notes.append(f"what its output streams still held is not known: {error}")

    def _read_output(self, run: _Run) -> None:
        used, lost = _HEAD.unpack(os.pread(self._output, _HEAD.size, 0))
        data = os.pread(self._output, min(used, _OUTPUT_BYTES), _HEAD.size)
        parts, at = [], 0
        while at + _CHUNK.size <= len(data):
            _, size = _CHUNK.unpack_from(data, at)
            parts.append(data[at + _CHUNK.size : at + _CHUNK.size + size])
            at += _CHUNK.size + size
        run.output = b"".join(parts).decode("utf-8", "replace")
        if lost:
            run.notes.append(f"{lost:,} bytes of output were too much and are not compared")


def what_if(motion: Motion, statement: str, frame: int) -> WhatIf:
    """The two runs from the current moment of `motion`, compared. ReplayError: the statement cannot be run."""
    branch = Branch(motion.current, motion)
    try:
        remarks = branch.change(statement, frame)
        changed = branch.run(TO_THE_END)
    finally:
        branch.close()
    recorded = _as_recorded(motion, changed)
    notes = [*remarks, *changed.notes]
    if recorded is None:
        notes.append("what the recording does up to there could not be computed in time, so nothing is compared")
        recorded = changed
    if any(each.startswith("MemoryError") for each in changed.raises):
        notes.append("a branch may take 1 GiB more memory than the program has here")
    return WhatIf(
        ended=_sentence(changed),
        tick=Tick(changed.tick),
        recorded=_fate(recorded) if recorded.is_over else "",
        output=tuple(difference(recorded.output.splitlines(), changed.output.splitlines())),
        exceptions=tuple(difference(recorded.raises, changed.raises)),
        notes=tuple(notes),
    )


def _as_recorded(motion: Motion, changed: _Run) -> _Run | None:
    """The other run, up to the same input."""
    until = TO_THE_END
    if not changed.is_over:
        until = max(motion.last_tick_where(lambda stopped: stopped.input <= changed.input), motion.current.tick)
    other = Branch(motion.current, motion)
    with suppress(ProcessDied):
        try:
            run = other.run(until)
            if not changed.is_over and len(run.raises) < MOST_RAISES:
                other.raise_on(run, changed.input)
        finally:
            other.close()
        return None if run.trouble or run.stopped is None else run
    return None


def _sentence(run: _Run) -> str:
    """Where and why the changed program stopped."""
    if run.is_over:
        return "it runs to " + _fate(run)
    reason = run.trouble
    if not reason and run.stopped is not None:
        reason = run.stopped.text.partition("\n")[0]
        if run.stopped.reason is Reason.DIVERGED:
            reason = f"from here on the recording has no answers: {reason}"
    place = f" at {run.place}" if run.place else ""
    return f"it goes on to tick {run.tick}{place}; {reason}"


def _fate(run: _Run) -> str:
    if run.ending.get("cut_off"):
        return "where the recording ends"
    uncaught = run.ending.get("uncaught")
    return "the end of the program" + (f", with an uncaught {uncaught}" if uncaught else "")


def _place(looker: Looker) -> str:
    """The innermost line of the user's own code, if there is any."""
    frames = looker.ask("stack")
    for _, function, path, line, visible in frames:
        if visible:
            return f"{path}:{line} in {function}"
    return f"{frames[0][2]}:{frames[0][3]} in {frames[0][1]}" if frames else ""


def difference(recorded: list[str], changed: list[str]) -> list[str]:
    """Rows "- " only recorded, "+ " only in the branch, "  …" what is alike; none at all when everything is."""
    if recorded == changed:
        return []
    same = 0
    while same < min(len(recorded), len(changed)) and recorded[same] == changed[same]:
        same += 1
    old, new = recorded[same:], changed[same:]
    rows = [_alike(same)] if same else []
    matcher = SequenceMatcher(None, old[:_MOST_LINES], new[:_MOST_LINES], autojunk=False)
    for kind, first, last, begin, end in matcher.get_opcodes():
        if kind == "equal":
            rows.append(_alike(last - first))
        else:
            rows += [f"- {line}" for line in old[first:last]] + [f"+ {line}" for line in new[begin:end]]
    left = max(len(old), len(new)) - _MOST_LINES
    hidden = max(len(rows) - _MOST_ROWS, 0) + max(left, 0)
    return [*rows[:_MOST_ROWS], f"  … {hidden} more rows"] if hidden else rows


def _alike(count: int) -> str:
    return "  … 1 line alike" if count == 1 else f"  … {count} lines alike"
