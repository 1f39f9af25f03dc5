"""`scope index`: replays a trace once and notes what every line did, so that questions need no replay."""

from __future__ import annotations

import argparse
import sys
import time

from retroscope.cli.builds import warn_of_build
from retroscope.cli.messages import OK, USER_ERROR, complain
from retroscope.recorder.closing import bytes_text, duration
from retroscope.replay.index_building import Built, IndexBuilder, Progress
from retroscope.replay.recording import Recording
from retroscope.trace.index_writer import delete_index

_AFTER = 1.0
_EVERY = 0.1
_WIDTH = 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", metavar="TRACE", nargs="?", default="trace.db", help="a trace (default: trace.db)")
    parser.add_argument("--process", type=int, metavar="N", help="only the process with this number; default: all")
    parser.add_argument(
        "--all-code", action="store_true",
        help="note the variables of library code too, not only its lines and calls; takes longer and more room",
    )  # fmt: skip
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--rebuild", action="store_true", help="begin anew, whatever there is")
    way.add_argument("--delete", action="store_true", help="take the index out of the trace; the file becomes smaller")
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing but errors")


def run(args: argparse.Namespace) -> int:
    """0: the index is complete, or gone; 1: it could not be completed; a divergence is an error with status 3."""
    if args.delete:
        delete_index(args.trace, args.process)
        return OK
    first = Recording(args.trace)
    try:
        warn_of_build(first)
        numbers = [each.id for each in first.processes()] if args.process is None else [args.process]
        built = [_build(first.other(number), args, len(numbers) > 1) for number in numbers]
    finally:
        first.close()
    return OK if all(each.complete for each in built) else USER_ERROR


def _build(recording: Recording, args: argparse.Namespace, several: bool) -> Built:
    bar = _Bar(f"indexing process {recording.process.id}" if several else "indexing")
    try:
        built = IndexBuilder(recording, args.all_code, on_progress=bar).build(args.rebuild)
    finally:
        bar.clear()
    prefix = f"process {built.process}: " if several else ""
    if built.stopped:
        complain(f"{prefix}{built.stopped}; the index has the first {built.ticks:,} ticks, and so far it is good")
    elif not args.quiet:
        how = "was complete already" if built.again else f"took {duration(built.seconds)}"
        print(f"{prefix}indexed {built.ticks} ticks, {bytes_text(built.bytes)}, {how}")
    return built


class _Bar:
    """A bar on stderr, only where a person looks, and only if it takes long."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._began = time.monotonic()
        self._drawn = 0.0
        self._wanted = sys.stderr.isatty()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if not self._wanted or now - self._began < _AFTER or now - self._drawn < _EVERY:
            return
        self._drawn = now
        part = progress.ticks / progress.last if progress.last else 0.0
        if not progress.last and progress.all_inputs:
            part = progress.inputs / progress.all_inputs
        filled = int(min(part, 1.0) * _WIDTH)
        left = "" if progress.seconds_left is None else f", about {duration(progress.seconds_left)} left"
        bar = "█" * filled + "░" * (_WIDTH - filled)
        done = f"{progress.ticks:,} ticks"
        if not progress.last:
            done = f"{progress.inputs:,} of {progress.all_inputs:,} inputs"
        sys.stderr.write(f"\r\x1b[K{self._what} {bar} {done}{left}")
        sys.stderr.flush()

    def clear(self) -> None:
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
