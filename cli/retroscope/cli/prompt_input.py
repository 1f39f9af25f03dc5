"""Lines from a person at a terminal: history, completion, and Ctrl-C that ends a motion instead of the session."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from retroscope.cli.prompt import CommandFailed, Session
from retroscope.replay.timeline import FrameId, ReplayError

_HISTORY_LENGTH = 2000
_OBJECT = re.compile(r"([A-Za-z_][\w.\[\]'\"]*)\.(\w*)$")
_TAKES_EXPRESSION = ("print", "last-write", "why", "watch", "what-if")
_TAKES_PLACE = ("break", "until", "reverse-until", "log")
_CHOICES = {
    "goto": ("end", "failure", "hit ", "input ", "output ", "raise "),
    "catch": ("raised", "uncaught", "off"),
    "library": ("on", "off"),
    "where": ("all",),
    "threads": ("all",),
}


def history_file() -> Path:
    """Where the XDG base directory specification wants state."""
    base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(base) / "retroscope" / "history"


@contextmanager
def line_editing(session: Session) -> Iterator[None]:
    """Readline with our history and completion, where this Python has readline."""
    try:
        import readline
    except ImportError:
        yield
        return
    file = history_file()
    with suppress(OSError):  # the first session, or a file that is not ours to read
        readline.read_history_file(file)
    readline.set_history_length(_HISTORY_LENGTH)
    readline.set_completer_delims(" \t\n")
    readline.set_completer(completer(session, readline.get_line_buffer))
    readline.parse_and_bind("tab: complete")
    try:
        yield
    finally:
        with suppress(OSError):  # no history is kept where there is no place for it
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            readline.write_history_file(file)


def completer(session: Session, line: Callable[[], str]) -> Callable[[str, int], str | None]:
    """As readline wants it: the n-th completion of a word."""
    found: list[str] = []

    def complete(word: str, number: int) -> str | None:
        nonlocal found
        if number == 0:
            try:
                found = completions(session, line(), word)
            except ReplayError:
                found = []
        return found[number] if number < len(found) else None

    return complete


def completions(session: Session, line: str, word: str) -> list[str]:
    """What `word`, the last of `line`, could become."""
    typed, space, rest = line.lstrip().partition(" ")
    names = [each.names[0] for each in session.commands]
    if not space:
        return [name + " " for name in names if name.startswith(word)]
    command = _full_name(session, typed)
    if command == "goto" and rest.startswith("hit "):
        return _places(session, word)
    if command in _TAKES_PLACE and " if " not in line:
        return _places(session, word)
    if command in (*_TAKES_EXPRESSION, *_TAKES_PLACE):
        return _names(session, word)
    return [choice for choice in (names if command == "help" else _CHOICES.get(command, ())) if choice.startswith(word)]


def _full_name(session: Session, typed: str) -> str:
    """A command may be typed by its short name, or shortened."""
    try:
        return session.find(typed).names[0]
    except CommandFailed:
        return ""


def _places(session: Session, word: str) -> list[str]:
    paths = [session.renderer.path(path) for path in session.timeline.source_paths()]
    return sorted({f"{path}:" for path in paths if path.startswith(word) or os.path.basename(path).startswith(word)})


def _names(session: Session, word: str) -> list[str]:
    """Names in scope, or attributes of the object before the last dot."""
    if not session.frames():
        return []
    frame = FrameId(session.frame().id)
    dotted = _OBJECT.search(word)
    if dotted is None:
        start = re.split(r"[^\w]", word)[-1]
        before = word[: len(word) - len(start)]
        return [before + name for name in session.timeline.names(frame) if start and name.startswith(start)]
    value = session.timeline.evaluate(f"' '.join(dir({dotted[1]}))", frame)
    names = [] if value.failed else value.text.strip("'\"").split()
    before = word[: len(word) - len(dotted[2])]
    hidden = dotted[2].startswith("_")
    return [before + name for name in names if name.startswith(dotted[2]) and (hidden or not name.startswith("_"))]


@contextmanager
def interruptible(session: Session) -> Iterator[None]:
    """Ctrl-C ends a motion where it is; at any other time it is the KeyboardInterrupt that Python makes of it."""

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        if session.timeline.moving:
            session.timeline.interrupt()
        else:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def read_line(prompt: str) -> str | None:
    """The next line; None at the end of input. Without a terminal no prompt is shown."""
    if not sys.stdin.isatty():
        line = sys.stdin.readline()
        return line.rstrip("\n") if line else None
    try:
        return input(prompt)
    except EOFError:
        sys.stdout.write("\n")
        return None
