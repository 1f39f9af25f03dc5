"""`scope export`: calls and lines of a recorded process, for other programs. It replays; the file grows as it goes."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import IO, TYPE_CHECKING

from retroscope.cli.builds import warn_of_build
from retroscope.cli.export_lines import JsonLines
from retroscope.cli.export_perfetto import Perfetto
from retroscope.cli.exported_calls import Calls, Wanted
from retroscope.cli.messages import OK, USAGE, complain
from retroscope.cli.rendering_progress import ProgressBar
from retroscope.replay.moments import ReplayError
from retroscope.replay.observation import Function, Observation
from retroscope.replay.protocol import TO_THE_END
from retroscope.replay.recording import Recording
from retroscope.replay.wall_clock import wall_clock
from retroscope.trace.secrets import redact_words

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", metavar="TRACE", nargs="?", default="trace.db", help="a trace (default: trace.db)")
    parser.add_argument("--perfetto", metavar="OUT", help="write the Trace Event Format, for ui.perfetto.dev")
    parser.add_argument("--jsonl", metavar="OUT", help="write JSON lines, one fact a line; - is the standard output")
    parser.add_argument("--process", type=int, metavar="ID", help="a process of the trace (default: the first)")
    parser.add_argument("--lines", action="store_true", help="with --perfetto: every line too, inside its call")
    parser.add_argument("--values", action="store_true", help="with each line the variables that changed before it")
    parser.add_argument("--all-code", action="store_true", help="also the code of libraries")
    parser.add_argument(
        "--function", metavar="GLOB", action="append", help="only functions of such a qualified name, as 'Shop.*'"
    )
    parser.add_argument("--file", metavar="GLOB", action="append", help="only files like this, such as '*/shop.py'")
    parser.add_argument("--thread", type=int, metavar="N", action="append", help="only this thread; the main one is 1")
    parser.add_argument("--from", dest="first", type=int, metavar="TICK", default=1, help="begin with this tick")
    parser.add_argument("--to", dest="last", type=int, metavar="TICK", default=TO_THE_END, help="end with this tick")
    parser.add_argument("--show-secrets", action="store_true", help="do not redact passwords, tokens and keys")


def run(args: argparse.Namespace) -> int:
    if (args.perfetto is None) == (args.jsonl is None):
        complain("say --perfetto OUT or --jsonl OUT; see `scope export --help`")
        return USAGE
    recording = Recording(args.trace, args.process)
    bar = ProgressBar("exporting")
    try:
        warn_of_build(recording)
        with _written(args.perfetto or args.jsonl) as file:
            _export(recording, file, args, bar)
    finally:
        bar.clear()
        recording.close()
    return OK


def _export(recording: Recording, file: IO[str], args: argparse.Namespace, bar: ProgressBar) -> None:
    clock = wall_clock(recording)
    words = list(recording.process.argv)
    process = recording.process
    sink: Perfetto | JsonLines
    if args.perfetto is not None:
        shown = replace(process, argv=tuple(words if args.show_secrets else redact_words(words)))
        sink = Perfetto(file, shown, clock, args.lines)
    else:
        sink = JsonLines(file, process, clock, words if args.show_secrets else redact_words(words))
    calls = Calls(sink, _wanted(args), recording.first_input)
    blocks = Observation(recording, args.all_code).blocks()
    try:
        for block in blocks:
            calls.follow(block)
            bar(calls.tick, calls.inputs, recording.inputs)
            if calls.over:
                break
    finally:
        blocks.close()  # type: ignore[attr-defined]
    calls.end()
    sink.close()


def _wanted(args: argparse.Namespace) -> Wanted:
    def function(each: Function) -> bool:
        if not (args.all_code or each.visible):
            return False
        if args.function and not any(fnmatchcase(each.name, pattern) for pattern in args.function):
            return False
        return not args.file or any(fnmatchcase(each.path, pattern) for pattern in args.file)

    threads = frozenset(args.thread or ())
    return Wanted(function, threads, args.first, args.last, args.values, args.show_secrets)


@contextmanager
def _written(out: str) -> Iterator[IO[str]]:
    """The file to write to. One that could not be written to its end is taken away again, and that is said."""
    if out == "-":
        yield sys.stdout
        return
    file = open(out, "w", encoding="utf-8")  # noqa: SIM115 - what fails here must not take away what lay there
    try:
        with file:  # closing writes what is left, and fails where there is no room for it
            yield file
    except BaseException as error:
        gone = _remove(out)
        if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
            raise ReplayError(
                f"{out}: {str(error.strerror).lower()}; {'it was removed, ' if gone else ''}name a file elsewhere"
            ) from error
        raise


def _remove(out: str) -> bool:
    """Takes the unfinished file away; not a pipe or a device."""
    if not os.path.isfile(out):
        return False
    os.unlink(out)
    return True
