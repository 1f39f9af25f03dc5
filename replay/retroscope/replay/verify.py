"""Running recorded processes again in one pass, checking every input; no snapshots, no looking.

A forked process begins with what its parent did before, so a process and all that it forked are run as a tree: where
it forks, the replay process is forked as well, and the fork goes on as the child. Nothing is run twice.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from retroscope.replay.divergence import diverged
from retroscope.replay.launch import launcher_of, stream_file
from retroscope.replay.moments import Diverged, ReplayError
from retroscope.replay.process import ReplayProcess
from retroscope.replay.protocol import Reason, Stopped, Want
from retroscope.replay.recording import Recording

_FIRST_LEG = 1 << 18
_LARGEST_LEG = 1 << 26
_LEG_SECONDS = 0.25
_LEAST_PATIENCE = 60.0


Progress = Callable[[int, int, int], None]
"""Ticks done, inputs done, inputs in all, of the process that is being run."""


@dataclass(frozen=True)
class Verified:
    """What of a process was run again without a difference. `cut_off` says why the record ends before the program did;
    a process that was never run, because it cannot be, has 0 ticks and says so there."""

    process: int
    ticks: int
    inputs: int
    cut_off: str | None
    warning: str


def verify_trace(first: Recording, wanted: int | None, progress: Progress) -> list[Verified]:
    """Replays every process of the trace that `first` is of, or only `wanted`, to the end of its record.

    Raises Diverged with the whole message.
    """
    done: list[Verified] = []
    roots = [each.id for each in first.processes() if each.forked is None]
    if wanted is not None:
        roots = [first.other(wanted).root]
    for number in roots:
        done += _run_tree(first.other(number), wanted, progress)
    missing = {each.id for each in first.processes()} - {each.process for each in done}
    for number in sorted(missing) if wanted is None else ():
        first.other(number)  # says why it cannot be replayed, if that is why
        raise ReplayError(f"{first.path}: process {number} was not reached by the replay of its parent")
    return sorted(done, key=lambda each: each.process)


def _run_tree(root: Recording, wanted: int | None, progress: Progress) -> list[Verified]:
    """To a program that asks where in a line its callers are, 3.11 says something else where ticks are counted unseen:
    so a difference is one only if it is there when all of them are seen."""
    try:
        return _Tree(root, wanted, progress, Want.FORKS | Want.TOTALS).run()
    except Diverged:
        if root.start.hexversion >= 0x030C0000:
            raise  # they are always seen
        return _Tree(root, wanted, progress, Want.FORKS).run()


class _Tree:
    """A process that was not forked, and all that came of it by forks; or only the way to `wanted`."""

    def __init__(self, root: Recording, wanted: int | None, progress: Progress, want: Want) -> None:
        self._root = root
        self._wanted = wanted
        self._progress = progress
        self._want = want
        self._done: list[Verified] = []
        self._warning = ""
        way = {wanted, *root.other(wanted).ancestors} if wanted is not None else None
        self._children: dict[tuple[int, int], int] = {}  # (parent, input of the fork) → process
        for each in root.processes():
            if each.forked is not None and each.parent is not None and (way is None or each.id in way):
                child = root.other(each.id)
                self._children[each.parent, child.first_input] = each.id

    def run(self) -> list[Verified]:
        if self._root.unborn is not None:
            return [Verified(self._root.process.id, 0, 0, self._root.unborn, "")]
        launch, end_launching = launcher_of(self._root)
        try:
            process = launch()
            self._warning = process.warning
            self._follow(process, self._root, 0)
        finally:
            end_launching()
        return self._done

    def _follow(self, process: ReplayProcess, recording: Recording, born: int) -> None:
        """Runs it to the end of its record, and everything that it forks; takes `process` over."""
        try:
            while True:
                stopped = self._run(process, recording)
                if stopped.reason is Reason.END:
                    break
                child = self._children.get((recording.process.id, stopped.input))
                if child is None:
                    continue  # it was not recorded
                if self._wanted is None:
                    self._branch(process.fork(), recording.other(child), stopped.tick)
                else:
                    recording, born = recording.other(child), stopped.tick
                    self._become(process, recording)
        finally:
            process.kill()
        self._done.append(_verified(stopped, recording, born, self._warning))

    def _branch(self, process: ReplayProcess, recording: Recording, born: int) -> None:
        try:
            self._become(process, recording)
        except BaseException:
            process.kill()
            raise
        self._follow(process, recording, born)

    def _become(self, process: ReplayProcess, recording: Recording) -> None:
        stream = stream_file(recording.flat_own, recording.process.length)
        try:
            process.use_stream(stream)
        finally:
            os.close(stream)

    def _run(self, process: ReplayProcess, recording: Recording) -> Stopped:
        """To the next fork, or to the end."""
        leg, seen, since = _FIRST_LEG, -1, time.monotonic()
        while True:
            began = time.monotonic()
            stopped = process.run(process.tick + leg, self._want)
            if stopped.reason in (Reason.DIVERGED, Reason.SEALED):
                raise diverged(recording, stopped.text, stopped.input)
            if stopped.reason in (Reason.END, Reason.FORK):
                return stopped
            self._progress(stopped.tick, stopped.input, recording.inputs)
            if stopped.input != seen:
                seen, since = stopped.input, began
            elif time.monotonic() - since > _patience(recording):
                raise diverged(
                    recording,
                    f"the replay runs on at tick {stopped.tick} without reaching its next input, longer than the whole "
                    f"recording took; the last one is number {seen - 1}. A program that waits, without any call, for "
                    "another process to change shared memory cannot be replayed past that",
                )
            if time.monotonic() - began < _LEG_SECONDS:
                leg = min(leg * 2, _LARGEST_LEG)


def _patience(recording: Recording) -> float:
    """Seconds that a replay may take from one input to the next: counting lines makes it slower, but 20 times never."""
    process = recording.process
    return _LEAST_PATIENCE + 20 * ((process.finished or process.started) - process.started)


def _verified(stopped: Stopped, recording: Recording, born: int, warning: str) -> Verified:
    ending = json.loads(stopped.text) if stopped.text else {}
    _check_end(ending, stopped, recording)
    cut_off = recording.cut_off or ("the record ends before the program did" if ending.get("cut_off") else None)
    if ending.get("cut_off"):
        cut_off = f"{cut_off}, and how far it got after its last input is not recorded (verify went on for a while)"
    number, inputs = recording.process.id, stopped.input - recording.first_input
    return Verified(number, stopped.tick - born, inputs, cut_off, warning)


def _check_end(ending: dict[str, object], stopped: Stopped, recording: Recording) -> None:
    """The replay must have ended as the program did, with nothing of the record left over."""
    process = recording.process
    status, signal = ending.get("status"), ending.get("signal")
    if signal is not None and process.ended != "lost" and (process.ended, process.number) != ("signal", signal):
        raise diverged(
            recording,
            f"the replay died of signal {signal} at tick {stopped.tick} after {stopped.input} inputs; "
            "the recorded program did not",
            stopped.input,
        )
    if stopped.input < recording.inputs:
        raise diverged(
            recording,
            f"the replay ended at tick {stopped.tick} after {stopped.input} inputs, but the recording has "
            f"{recording.inputs}: the program took another way",
            stopped.input,
        )
    if process.ended == "exited" and status is not None and status != process.number:
        raise diverged(
            recording, f"the replay ended with exit status {status}, the recorded program with {process.number}"
        )


__all__ = ["Diverged", "ReplayError", "Verified", "verify_trace"]
