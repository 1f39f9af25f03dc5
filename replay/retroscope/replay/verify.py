"""Running a whole recording again in one pass, checking every input; no snapshots, no looking."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from retroscope.replay.launch import launcher_of
from retroscope.replay.moments import Diverged, ReplayError
from retroscope.replay.process import ReplayProcess
from retroscope.replay.protocol import Reason, Stopped
from retroscope.replay.recording import Recording

_FIRST_LEG = 1 << 18
_LARGEST_LEG = 1 << 26
_LEG_SECONDS = 0.25


@dataclass(frozen=True)
class Verified:
    """What was run again without a difference. `cut_off` says why the record ends before the program did."""

    ticks: int
    inputs: int
    cut_off: str | None
    warning: str


def verify_process(recording: Recording, progress: Callable[[int, int, int], None]) -> Verified:
    """Replays one process to the end of its record; raises Diverged with the whole message."""
    launch, end_launching = launcher_of(recording)
    try:
        process = launch()
        try:
            warning = process.last.text if process.last else ""
            stopped = _run_to_the_end(process, recording, progress)
        finally:
            process.kill()
    finally:
        end_launching()
    ending = json.loads(stopped.text) if stopped.text else {}
    _check_end(ending, stopped, recording)
    cut_off = recording.cut_off or ("the record ends before the program did" if ending.get("cut_off") else None)
    if ending.get("cut_off"):
        cut_off = f"{cut_off}, and how far it got after its last input is not recorded (verify went on for a while)"
    return Verified(stopped.tick, stopped.input, cut_off, warning)


def _run_to_the_end(process: ReplayProcess, recording: Recording, progress: Callable[[int, int, int], None]) -> Stopped:
    leg = _FIRST_LEG
    while True:
        began = time.monotonic()
        stopped = process.run(process.tick + leg)
        if stopped.reason in (Reason.DIVERGED, Reason.SEALED):
            raise Diverged(stopped.text)
        if stopped.reason is Reason.END:
            return stopped
        progress(stopped.tick, stopped.input, recording.inputs)
        if time.monotonic() - began < _LEG_SECONDS:
            leg = min(leg * 2, _LARGEST_LEG)


def _check_end(ending: dict[str, object], stopped: Stopped, recording: Recording) -> None:
    """The replay must have ended as the program did, with nothing of the record left over."""
    process = recording.process
    status, signal = ending.get("status"), ending.get("signal")
    if signal is not None and process.ended != "lost" and (process.ended, process.number) != ("signal", signal):
        raise Diverged(
            f"the replay died of signal {signal} at tick {stopped.tick} after {stopped.input} inputs; "
            "the recorded program did not"
        )
    if stopped.input < recording.inputs:
        raise Diverged(
            f"the replay ended at tick {stopped.tick} after {stopped.input} inputs, but the recording has "
            f"{recording.inputs}: the program took another way"
        )
    if process.ended == "exited" and status is not None and status != process.number:
        raise Diverged(f"the replay ended with exit status {status}, the recorded program with {process.number}")


__all__ = ["Diverged", "ReplayError", "Verified", "verify_process"]
