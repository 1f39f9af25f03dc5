"""`scope record --until-failure`: runs a program again and again until a run fails, and keeps that run's trace.

Each run is recorded under a hidden name beside TRACE; what stands at TRACE is replaced only by a run that failed.
"""

from __future__ import annotations

import os
import sys

from retroscope.cli.messages import OK
from retroscope.recorder.launcher import RecordOptions, Run, record_run
from retroscope.recorder.saying import say
from retroscope.trace.claim import check_place, move_trace

_SEEDS = 1 << 32


def until_failure(options: RecordOptions, most_runs: int) -> int:
    """The exit status of the run that failed or was told to end; 0 when none of `most_runs` (0: no limit) failed."""
    check_place(options.trace)
    folder, name = os.path.split(os.path.realpath(options.trace))
    hidden = os.path.join(folder, f".{name}.{os.getpid()}.run")
    progress = _Progress(most_runs, quiet=options.quiet)
    number = 0
    try:
        while not most_runs or number < most_runs:
            number += 1
            seed = None if options.chaos is None else (options.chaos + number - 1) % _SEEDS
            progress.begin(number, seed)
            run = record_run(_one_run(options, hidden, seed))
            progress.end()
            if run.status or run.told_to_end:
                return _keep(run, hidden, options.trace, _verdict(run, number, seed))
    finally:
        if os.path.exists(hidden):
            os.unlink(hidden)
    say(f"none of {number:,} runs failed{_last_seed(options, number)}; no trace was kept")
    return OK


def _one_run(options: RecordOptions, trace: str, seed: int | None) -> RecordOptions:
    return RecordOptions(
        options.kind, options.target, options.args, trace=trace, chaos=seed, quiet=True, redact=options.redact
    )


def _keep(run: Run, hidden: str, trace: str, verdict: str) -> int:
    """Gives the trace of `run` its place and says so; the run's exit status."""
    if run.drain is None or not os.path.exists(hidden):
        say(f"{verdict}; there is no trace of it")
        return run.status
    move_trace(hidden, trace)
    say(f"{verdict}; its trace is {trace}, open it with: scope replay {trace}")
    return run.status


def _verdict(run: Run, number: int, seed: int | None) -> str:
    seeds = "" if seed is None else f" (chaos seed {seed})"
    how = f"with exit status {run.number}" if run.ended == "exited" else f"by signal {run.number}"
    if run.told_to_end:
        return f"run {number:,}{seeds} was told to end, and ended {how}"
    return f"run {number:,}{seeds} failed: it ended {how}"


def _last_seed(options: RecordOptions, number: int) -> str:
    if options.chaos is None:
        return ""
    return f" (chaos seeds {options.chaos} to {(options.chaos + number - 1) % _SEEDS})"


class _Progress:
    """A line about the present run, on a terminal only.

    Where the program writes to the same terminal each run has a line of its own; otherwise one line is rewritten.
    """

    def __init__(self, most_runs: int, *, quiet: bool) -> None:
        self._of = f" of {most_runs:,}" if most_runs else ""
        self._on = not quiet and os.isatty(2)
        self._one_line = not os.isatty(1)

    def begin(self, number: int, seed: int | None) -> None:
        if self._on:
            seeds = "" if seed is None else f", chaos seed {seed}"
            self._write(f"scope: run {number:,}{self._of}{seeds}" + ("" if self._one_line else "\n"))

    def end(self) -> None:
        if self._on and self._one_line:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()
