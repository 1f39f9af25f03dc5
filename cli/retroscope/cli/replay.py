"""`scope replay`: the time-travel prompt on a trace, at a terminal or from a script."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from retroscope.cli.messages import DIVERGED, INTERRUPTED, OK, USER_ERROR
from retroscope.cli.prompt import Quit, Session
from retroscope.cli.prompt_commands import COMMANDS
from retroscope.cli.prompt_input import interruptible, line_editing, read_line
from retroscope.cli.rendering import Colours, Renderer
from retroscope.cli.rendering_progress import ProgressBar
from retroscope.replay.moments import StopReason
from retroscope.replay.timeline import Timeline

PROMPT = "(scope) "


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", metavar="TRACE", nargs="?", default="trace.db", help="a trace (default: trace.db)")
    parser.add_argument(
        "-x", dest="commands", metavar="CMD", action="append", default=[],
        help="run this command of the prompt and print its answer; may be repeated, the first that fails ends it",
    )  # fmt: skip
    parser.add_argument("--process", type=int, metavar="N", help="the process to replay, by number; default: the first")


def run(args: argparse.Namespace) -> int:
    bar = ProgressBar("replaying")

    def open_process(number: int | None) -> Timeline:
        timeline = Timeline.open(args.trace, number, bar)
        bar.clear()
        return timeline

    timeline = open_process(args.process)
    session = Session(timeline, Renderer(timeline.cwd, Colours.for_terminal()), COMMANDS, open_process)
    session.after_motion = bar.clear
    try:
        if timeline.warning:
            sys.stderr.write(f"scope: {timeline.warning}\n")
        with interruptible(session):
            if args.commands:
                return _script(session, args.commands)
            return _converse(session) if sys.stdin.isatty() else _script(session, iter(sys.stdin.readline, ""))
    finally:
        session.close()


def _script(session: Session, commands: Iterable[str]) -> int:
    for line in commands:
        try:
            if not session.attempt(line):
                return DIVERGED if session.timeline.now.reason is StopReason.DIVERGED else USER_ERROR
            if session.timeline.now.reason is StopReason.INTERRUPTED:
                return INTERRUPTED
        except Quit:
            break
    return OK


def _converse(session: Session) -> int:
    session.say("`help` lists the commands; every motion has a reverse.")
    session.show_place()
    last = ""
    with line_editing(session):
        while True:
            try:
                line = read_line(PROMPT)
                if line is None:
                    return OK
                line = line.strip() or last
                session.attempt(line)
                last = line if line and session.repeats(line) else ""
            except Quit:
                return OK
            except KeyboardInterrupt:
                sys.stdout.write("\n")
