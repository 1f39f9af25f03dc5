"""`scope verify`: runs a recording again, sealed, checks every input, and says how it went in its last line."""

from __future__ import annotations

import argparse
import os
import sys

from retroscope.cli.messages import OK, complain
from retroscope.cli.rendering_progress import ProgressBar
from retroscope.replay.recording import Recording
from retroscope.replay.verify import Verified, verify_process


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", metavar="TRACE", nargs="?", default="trace.db", help="a trace (default: trace.db)")
    parser.add_argument(
        "--output", action="store_true",
        help="print what the program wrote to stdout and stderr, byte for byte; the last line then goes to stderr",
    )  # fmt: skip
    parser.add_argument("-q", "--quiet", action="store_true", help="no last line; the exit status says it all")
    parser.add_argument("--process", type=int, metavar="N", help="only the process with this number; default: all")


def run(args: argparse.Namespace) -> int:
    """0: everything agreed; a divergence is raised as an error with status 3."""
    numbers = _processes(args.trace, args.process)
    done = [_verify(args.trace, number) for number in numbers]
    if args.output:
        for number in numbers:
            _print_output(args.trace, number)
    for each in done:
        if each.cut_off:
            complain(f"{each.cut_off}: verified up to there")
    for warning in {each.warning for each in done if each.warning}:
        complain(warning)
    if not args.quiet:
        print(_summary(done), file=sys.stderr if args.output else sys.stdout)
    return OK


def _processes(trace: str, wanted: int | None) -> list[int]:
    recording = Recording(trace, wanted)
    try:
        return recording.process_numbers() if wanted is None else [wanted]
    finally:
        recording.close()


def _verify(trace: str, number: int) -> Verified:
    bar = ProgressBar("verifying")
    recording = Recording(trace, number)
    try:
        return verify_process(recording, bar)
    finally:
        bar.clear()
        recording.close()


def _print_output(trace: str, number: int) -> None:
    recording = Recording(trace, number)
    try:
        for chunk in recording.output(recording.inputs):
            _write(2 if chunk.stream == "stderr" else 1, chunk.data)
    finally:
        recording.close()


def _write(descriptor: int, data: bytes) -> None:
    (sys.stdout if descriptor == 1 else sys.stderr).flush()
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _summary(done: list[Verified]) -> str:
    ticks, inputs = sum(each.ticks for each in done), sum(each.inputs for each in done)
    return f"replayed {ticks} ticks, {inputs} inputs, {len(done)} processes, 0 divergences"
