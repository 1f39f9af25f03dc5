"""Commands typed into the client's debug console, for clients without buttons for going back.

The rule, so that no Python expression is out of reach:

* `.` or `:` and a letter begin a command, always: `.rs`, `:goto 120`. No Python expression begins so.
* The bare word (`rs`, `goto 120`) is a command too, unless the program has a variable of that name where the
  timeline stands. Builtins do not count: `next` moves, `next(numbers)` is Python.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from retroscope.dap_adapter.failure import RequestFailed
from retroscope.dap_adapter.inspection import Inspection, bottom_line
from retroscope.dap_adapter.motion import Journey, Motion, to_entry
from retroscope.dap_adapter.session import Session
from retroscope.dap_adapter.stops import position
from retroscope.replay.moments import Breakpoint, FrameId, InputId, StopReason, Tick

WORD = re.compile(r"([A-Za-z]\w*(?:-\w+)*)(?:\s+(.*))?", re.DOTALL)


DESTINATION = (
    r"[0-9][0-9_,]*|end|entry|failure|(input|output)\s+[0-9][0-9_,]*"
    r"|\+[0-9.]+\s*\w*|[0-9]+:[0-9:.]+"
    r"|raise\s+[0-9]+(\s+[A-Za-z_][\w.]*)?|hit\s+[0-9]+\s+\S+"
)


@dataclass(frozen=True)
class Command:
    """`arguments` is a pattern that what follows the word must match; None: nothing may follow."""

    words: tuple[str, ...]
    arguments: str | None
    help: str


COMMANDS = (
    Command(("step", "s"), None, "one line on, into calls"),
    Command(("next", "n"), None, "one line on, over calls"),
    Command(("finish", "f"), None, "on to the end of this function"),
    Command(("continue", "c"), None, "on to the next breakpoint"),
    Command(("reverse-step", "rs"), None, "one line back, into calls"),
    Command(("reverse-next", "rn"), None, "one line back, over calls"),
    Command(("reverse-finish", "rf"), None, "back to where this function was called"),
    Command(("reverse-continue", "rc"), None, "back to the last breakpoint"),
    Command(("goto",), DESTINATION, "TICK, input N, output N, hit N FUNCTION, raise N, +3s, 12:34, entry, end, …"),
    Command(("tick",), None, "where in the recording one stands"),
    Command(("where", "w"), None, "the stack"),
    Command(("threads",), None, "the threads alive"),
    Command(("tasks",), None, "the asyncio tasks, and what they wait for"),
    Command(("output",), None, "everything the program had written by now"),
    Command(("print", "p"), r"[^=].*", "EXPRESSION: its value here"),
    Command(("last-write",), r"[^=].*", "EXPRESSION: back to the line that last changed its value"),
    Command(("why",), r"[^=].*", "EXPRESSION: as last-write, and the values of what that line read"),
    Command(("what-if",), r".+", "STATEMENT: what would follow if it ran here, beside what did"),
    Command(("secrets",), r"on|off", "on, off: whether values that look like secrets are shown; at first off"),
    Command(("help", "h"), None, "this list"),
)
BY_WORD = {word: command for command in COMMANDS for word in command.words}

JOURNEYS: Mapping[str, Journey] = {
    "step": lambda timeline: timeline.step(),
    "next": lambda timeline: timeline.next(),
    "finish": lambda timeline: timeline.finish(),
    "continue": lambda timeline: timeline.run(),
    "reverse-step": lambda timeline: timeline.reverse_step(),
    "reverse-next": lambda timeline: timeline.reverse_next(),
    "reverse-finish": lambda timeline: timeline.reverse_finish(),
    "reverse-continue": lambda timeline: timeline.reverse_run(),
}


@dataclass(frozen=True)
class Typed:
    """A command line, taken apart; `word` is the command's long name."""

    word: str
    argument: str


class Console:
    def __init__(self, session: Session, motion: Motion, inspection: Inspection) -> None:
        self._session = session
        self._motion = motion
        self._inspection = inspection
        self._answers: Mapping[str, Callable[[], str]] = {
            "tick": self._tick,
            "where": self._where,
            "threads": self._threads,
            "tasks": self._tasks,
            "output": self._output,
            "help": help_text,
        }

    def read(self, line: str, frame: FrameId | None) -> Typed | None:
        """The command in a line typed by the user; None when it is Python."""
        line = line.strip()
        if line[:1] in (".", ":") and line[1:2].isalpha():
            return _take_apart(line[1:], explicit=True)
        typed = _take_apart(line, explicit=False)
        if typed is None or self._is_variable(re.match(r"\w+", line), frame):
            return None
        return typed

    def journey(self, typed: Typed, frame: FrameId | None) -> Journey | None:
        """The motion a command asks for; None when it asks for none."""
        if typed.word in ("last-write", "why"):
            return lambda timeline: timeline.last_write(typed.argument, frame)
        if typed.word != "goto":
            return JOURNEYS.get(typed.word)
        return to_entry(self._session.entry) if typed.argument == "entry" else goto(typed.argument)

    def travel(self, typed: Typed, journey: Journey) -> None:
        """Moves, and says in the console where that led."""
        self._motion.announce()
        moment = self._motion.move(journey, resumable=typed.word in ("continue", "reverse-continue"))
        already_said = moment.reason in (StopReason.DIVERGED, StopReason.INTERRUPTED)
        if moment.text and not already_said:
            self._session.say(moment.text)
        self._session.say(self._tick())
        if typed.word == "why" and moment.reason is StopReason.GOTO:
            self._session.say(self._reads())

    def answer(self, typed: Typed) -> str:
        """What to print for a command that is neither a motion nor `print` nor `what-if`."""
        if typed.word == "secrets":
            self._session.secrecy.shows_all = typed.argument == "on"
            return "values that look like secrets are " + ("shown" if typed.argument == "on" else "hidden")
        return self._answers[typed.word]()

    def _is_variable(self, name: re.Match[str] | None, frame: FrameId | None) -> bool:
        if name is None:
            return False
        answer = self._session.timeline.evaluate(f"{name[0]!r} in locals() or {name[0]!r} in globals()", frame)
        return not answer.failed and answer.text == "True"

    def _reads(self) -> str:
        """What the line read at which the timeline stands, a line each."""
        timeline = self._session.timeline
        values = timeline.reads(timeline.stack()[0].id)
        rows = [f"  {value.name} {'cannot be read: ' if value.failed else '= '}{value.text}" for value in values]
        return "\n".join(rows) or "  it reads no variable"

    def _tick(self) -> str:
        timeline = self._session.timeline
        moment = self._inspection.moment or timeline.now
        place = bottom_line(timeline.stack())
        return position(moment, timeline.last_tick) + (f"  {place}" if place else "")

    def _where(self) -> str:
        frames = self._session.timeline.stack()
        if not frames:
            return "no Python code is running at this moment"
        return "\n".join(f"{frame.path}:{frame.line} in {frame.function}" for frame in frames)

    def _threads(self) -> str:
        current = self._session.timeline.now.thread
        return "\n".join(
            f"{'*' if thread.id == current else ' '} {thread.id} {thread.name}  {thread.state} {thread.waits}".rstrip()
            for thread in self._session.timeline.threads()
        )

    def _tasks(self) -> str:
        tasks = self._session.timeline.tasks()
        rows = []
        for task in tasks:
            rows.append(f"{'*' if task.state == 'running' else ' '} {task.name}  {task.state} {task.waits}".rstrip())
            rows += [f"      {frame.path}:{frame.line} in {frame.function}" for frame in task.frames if frame.visible]
        return "\n".join(rows) or "there is no asyncio task at this moment"

    def _output(self) -> str:
        written = b"".join(chunk.data for chunk in self._session.timeline.output())
        return written.decode("utf-8", "replace") or "the program had written nothing by now"


def goto(argument: str) -> Journey:
    """The motion to a tick, an input, a line of output, a hit, a raise, the end or the failure."""
    if argument == "end":
        return lambda timeline: timeline.goto_end()
    if argument == "failure":
        return lambda timeline: timeline.goto_failure()
    word, _, rest = argument.partition(" ")
    if argument[0] == "+" or re.match(r"[0-9]+:", argument):
        return lambda timeline: timeline.goto_time(argument)
    if word == "raise":
        count, _, kind = rest.strip().partition(" ")
        types = (kind.strip().rpartition(".")[2],) if kind.strip() else ()
        return lambda timeline: timeline.goto_raise(int(count), types)
    if word == "hit":
        count, _, place = rest.strip().partition(" ")
        return lambda timeline: timeline.goto_hit(_place(place.strip()), int(count))
    number = int(re.sub(r"[^0-9]", "", argument))
    if argument.startswith("input"):
        return lambda timeline: timeline.goto_input(InputId(number))
    if word == "output":
        return lambda timeline: timeline.goto_output(number)
    return lambda timeline: timeline.goto(Tick(number))


def _place(text: str) -> Breakpoint:
    """`FILE:LINE` or a function."""
    path, colon, line = text.rpartition(":")
    if colon and line.isdigit():
        return Breakpoint(0, path=path, line=int(line))
    return Breakpoint(0, function=text)


def help_text() -> str:
    lines = [f"  {', '.join(command.words):<24}{command.help}" for command in COMMANDS]
    return "\n".join([*lines, "A leading '.' makes a command of a word that is also a variable: .rs"])


def _take_apart(line: str, *, explicit: bool) -> Typed | None:
    """An explicit command that is not one is refused; without the mark it is taken for Python."""
    match = WORD.fullmatch(line)
    command = BY_WORD.get(match[1]) if match else None
    if match is None or command is None:
        if explicit:
            raise RequestFailed(f"there is no command '{line.split(maxsplit=1)[0]}'; .help lists them")
        return None
    argument = (match[2] or "").strip()
    if not _fits(argument, command):
        if explicit:
            how = "takes nothing behind it:" if command.arguments is None else ""
            raise RequestFailed(" ".join(filter(None, (f".{command.words[0]}", how, command.help))))
        return None
    return Typed(command.words[0], argument)


def _fits(argument: str, command: Command) -> bool:
    if command.arguments is None:
        return not argument
    return re.fullmatch(command.arguments, argument, re.DOTALL) is not None
