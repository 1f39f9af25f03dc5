"""What the command says on stderr, and the exit statuses that scripts rely on."""

from __future__ import annotations

import os
import sys

OK = 0
USER_ERROR = 1
USAGE = 2
DIVERGED = 3
DAMAGED = 4
INTERNAL = 70  # a mistake of ours
INTERRUPTED = 130
BROKEN_PIPE = 141  # as a shell says SIGPIPE: nobody reads what we print


def complain(sentence: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"scope: {sentence}\n")


def debugging() -> bool:
    """Does the user want our own tracebacks?"""
    return os.environ.get("SCOPE_DEBUG") == "1"


def explain(error: BaseException, command: str) -> int:
    """Says what went wrong in a sentence; the exit status that belongs to it."""
    if debugging():
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    sentence = getattr(error, "sentence", None)
    status = getattr(error, "status", None)
    if isinstance(sentence, str) and isinstance(status, int):
        complain(sentence)
        return status
    if isinstance(error, OSError) and error.strerror:
        complain(f"{error.filename}: {error.strerror.lower()}" if error.filename else error.strerror.lower())
        return USER_ERROR
    complain(
        f"`scope {command}` failed through a mistake of Retroscope's own ({type(error).__name__}: {error}); "
        "run it again with SCOPE_DEBUG=1 and report what it shows"
    )
    return INTERNAL


def printable(line: str) -> str:
    """A line without what could command a terminal: text from a trace may come from a stranger."""
    if line.isprintable():
        return line
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in line)


def silence_stdout() -> None:
    """After a broken pipe: what is still buffered goes nowhere, so that the interpreter ends without a word."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
