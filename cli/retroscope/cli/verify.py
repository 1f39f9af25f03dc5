"""`scope verify`: runs a recording again, sealed, checks every input, and says how it went in its last line."""

from __future__ import annotations

import argparse
import os
import sys

from retroscope.cli.builds import warn_of_build
from retroscope.cli.messages import OK, complain
from retroscope.cli.rendering_progress import ProgressBar
from retroscope.replay.diagnosis import Diagnosis
from retroscope.replay.moments import Diverged
from retroscope.replay.recording import Recording
from retroscope.replay.verify import Verified, verify_trace
from retroscope.replay.written import in_order


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", metavar="TRACE", nargs="?", default="trace.db", help="a trace (default: trace.db)")
    parser.add_argument(
        "--output", action="store_true",
        help="print what the program wrote to stdout and stderr, byte for byte; the last line then goes to stderr",
    )  # fmt: skip
    parser.add_argument(
        "--diagnose", action="store_true",
        help="when the replay differs, compare it with a second one to find the first line that differs",
    )  # fmt: skip
    parser.add_argument("-q", "--quiet", action="store_true", help="no last line; the exit status says it all")
    parser.add_argument("--process", type=int, metavar="N", help="only the process with this number; default: all")


def run(args: argparse.Namespace) -> int:
    """0: everything agreed; a divergence is raised as an error with status 3."""
    first = Recording(args.trace)
    try:
        warn_of_build(first)
        done = _verify(first, args.process, diagnose=args.diagnose)
        if args.output:
            for recording, chunk in in_order([first.other(each.process) for each in done]):
                wrote_to = 2 if chunk.stream == "stderr" else 1
                descriptor = wrote_to if args.process is not None else _comes_out(recording, first, wrote_to)
                if descriptor:
                    _write(descriptor, chunk.data)
        several = len(first.processes()) > 1
    finally:
        first.close()
    for each in done:
        if each.cut_off:
            complain(f"{f'process {each.process}: ' if several else ''}{each.cut_off}: verified up to there")
    for warning in {each.warning for each in done if each.warning}:
        complain(warning)
    if not args.quiet:
        print(_summary(done), file=sys.stderr if args.output else sys.stdout)
    return OK


def _comes_out(recording: Recording, program: Recording, descriptor: int) -> int:
    """Which of the program's own outputs is what a process writes to a descriptor? 0: none, but a pipe or a file."""
    ours, theirs = (each.process.facts.get("outputs") for each in (recording, program))
    if not isinstance(ours, (list, tuple)) or not isinstance(theirs, (list, tuple)):
        return descriptor
    written = list(ours[descriptor - 1 : descriptor])
    return next((own for own in (descriptor, 3 - descriptor) if list(theirs[own - 1 : own]) == written), 0)


def _verify(first: Recording, wanted: int | None, *, diagnose: bool) -> list[Verified]:
    bar = ProgressBar("verifying")
    try:
        return verify_trace(first, wanted, bar)
    except Diverged as diverged:
        bar.clear()
        more = _more(first, diverged.process, diagnose=diagnose)
        raise Diverged(f"{diverged}\n{more}", diverged.process) from diverged
    finally:
        bar.clear()


def _more(first: Recording, process: int | None, *, diagnose: bool) -> str:
    """What follows the account of a divergence: where it begins, or how to find out."""
    recording = first if process is None else first.other(process)
    if recording.ancestors:
        look = f"scope replay --process {process} {first.path}"
        return f"It was forked, and --diagnose cannot narrow that. To look: {look}"
    if not diagnose:
        return f"To find the first line that differs: scope verify --diagnose {first.path}"
    diagnosis = Diagnosis(recording)
    try:
        return diagnosis.text()
    finally:
        diagnosis.close()


def _write(descriptor: int, data: bytes) -> None:
    (sys.stdout if descriptor == 1 else sys.stderr).flush()
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _summary(done: list[Verified]) -> str:
    ticks, inputs = sum(each.ticks for each in done), sum(each.inputs for each in done)
    return f"replayed {ticks} ticks, {inputs} inputs, {len(done)} processes, 0 divergences"
