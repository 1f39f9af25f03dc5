"""`scope record`: its own options, and then the program's command line exactly as Python would take it."""

from __future__ import annotations

import os
import sys

from retroscope.cli.messages import OK, USAGE, complain
from retroscope.recorder.launcher import RecordOptions, record

HELP = """\
usage: scope record [-o TRACE] [--chaos] [-q] PROGRAM [ARGS…]
       scope record [-o TRACE] [--chaos] [-q] -m MODULE [ARGS…]
       scope record [-o TRACE] [--chaos] [-q] -c CODE [ARGS…]

Run a program and record it. The exit status is the program's own, 128 + N if signal N ended it.

  -o, --trace TRACE  the file to write (default: trace.db); an older trace there is replaced
  --chaos            preempt threads at random places, to find the rare order
  -q, --quiet        no closing line
  -m MODULE          record a module, like `python -m`
  -c CODE            record a command, like `python -c`

example: scope record -o orders.db app.py --port 8000
"""


class UsageError(Exception):
    """The command line makes no sense; str() is the sentence."""


class _Words:
    """The words of a command line, one after another."""

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._at = 0

    def next(self) -> str | None:
        if self._at == len(self._words):
            return None
        self._at += 1
        return self._words[self._at - 1]

    def value(self, option: str, glued: str) -> str:
        """The option's value: what is glued to it, else the next word."""
        found = glued or self.next()
        if found is None:
            raise UsageError(f"{option} needs a value")
        return found

    def rest(self) -> list[str]:
        return self._words[self._at :]


def parse(words: list[str]) -> RecordOptions | None:
    """What to record; None when help is wanted. Raises UsageError."""
    line = _Words(words)
    found: dict[str, object] = {"trace": "trace.db", "chaos": False, "quiet": False}
    while (word := line.next()) is not None:
        if word in ("-h", "--help"):
            return None
        if word == "--":
            word = line.next()
            if word is None:
                break
            return _options("script", word, line, found)
        if word.startswith("--"):
            _long_option(word, line, found)
        elif word.startswith("-") and word != "-":
            program = _short_options(word, line, found)
            if program is not None:
                return _options(*program, line, found)
        else:
            return _options("script", word, line, found)
    raise UsageError("name a program to record")


def _long_option(word: str, line: _Words, found: dict[str, object]) -> None:
    name, _, glued = word.partition("=")
    if name == "--trace":
        found["trace"] = line.value(name, glued)
    elif word in ("--chaos", "--quiet"):
        found[word[2:]] = True
    else:
        raise UsageError(f"there is no option {word}; options of the program stand after its name")


def _short_options(word: str, line: _Words, found: dict[str, object]) -> tuple[str, str] | None:
    """Letters in one word, as in -qo TRACE or -qm MODULE; the program, when it is one of -m and -c."""
    for at, letter in enumerate(word[1:], 2):
        if letter == "q":
            found["quiet"] = True
        elif letter == "o":
            found["trace"] = line.value("-o", word[at:])
            return None
        elif letter == "m":
            return "module", line.value("-m", word[at:])
        elif letter == "c":
            code = word[at:] or line.next()
            if code is None:
                raise UsageError("-c needs a value")
            return "code", code
        else:
            raise UsageError(f"there is no option -{letter}; options of the program stand after its name")
    return None


def _options(kind: str, target: str, line: _Words, found: dict[str, object]) -> RecordOptions:
    if kind == "script" and target == "-":
        raise UsageError("a program on standard input cannot be recorded; save it in a file first")
    if kind == "script" and os.path.basename(target).startswith("python") and not os.path.exists(target):
        raise UsageError(f"leave out {target!r}: the program follows at once, as in `scope record app.py`")
    return RecordOptions(
        kind, target, line.rest(), trace=str(found["trace"]), chaos=bool(found["chaos"]), quiet=bool(found["quiet"])
    )


def main(words: list[str]) -> int:
    try:
        options = parse(words)
    except UsageError as error:
        complain(f"{error}; see `scope record --help`")
        return USAGE
    if options is None:
        sys.stdout.write(HELP)
        return OK
    if not options.trace:
        complain("-o needs the name of a file; see `scope record --help`")
        return USAGE
    return record(options)
