"""`scope record`: its own options, and then the program's command line exactly as Python would take it."""

from __future__ import annotations

import os
import sys

from retroscope.cli.messages import OK, USAGE, complain
from retroscope.recorder.launcher import RecordOptions, record

HELP = """\
usage: scope record [OPTIONS] PROGRAM [ARGS…]
       scope record [OPTIONS] -m MODULE [ARGS…]
       scope record [OPTIONS] -c CODE [ARGS…]

Run a program and record it. The exit status is the program's own, 128 + N if signal N ended it.

  -o, --trace TRACE     the file to write (default: trace.db); an older trace there is replaced
  --until-failure[=N]   run again and again until a run fails, at most N times, and keep only that run's trace
  --chaos[=SEED]        preempt threads at places drawn at random, to find the rare order
  --redact PATTERN      keep the values of environment variables named like PATTERN out of the trace; may be repeated
  -q, --quiet           no line of ours about a recording that went well
  -m MODULE             record a module, like `python -m`
  -c CODE               record a command, like `python -c`

examples: scope record -o orders.db app.py --port 8000
          scope record -m pytest tests/test_orders.py
          scope record --chaos --until-failure=200 race.py
"""
LARGEST_SEED = (1 << 64) - 1


class UsageError(Exception):
    """The command line makes no sense; str() is the sentence."""


class Line:
    """A whole command line: what to record, and how often (None: once; 0: until a run fails)."""

    __slots__ = ("most_runs", "options")

    def __init__(self, options: RecordOptions, most_runs: int | None) -> None:
        self.options = options
        self.most_runs = most_runs


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


class _Found:
    """The options seen so far."""

    def __init__(self) -> None:
        self.trace = "trace.db"
        self.quiet = False
        self.redact: list[str] = []
        self.chaos: int | None = None
        self.most_runs: int | None = None

    def line(self, kind: str, target: str, words: _Words) -> Line:
        if kind == "script" and target == "-":
            raise UsageError("a program on standard input cannot be recorded; save it in a file first")
        if kind == "script" and os.path.basename(target).startswith("python") and not os.path.exists(target):
            raise UsageError(f"leave out {target!r}: the program follows at once, as in `scope record app.py`")
        options = RecordOptions(
            kind, target, words.rest(), trace=self.trace, chaos=self.chaos, quiet=self.quiet, redact=tuple(self.redact)
        )
        return Line(options, self.most_runs)


def parse(words: list[str]) -> Line | None:
    """What to record; None when help is wanted. Raises UsageError."""
    line = _Words(words)
    found = _Found()
    while (word := line.next()) is not None:
        if word in ("-h", "--help"):
            return None
        if word == "--":
            word = line.next()
            if word is None:
                break
            return found.line("script", word, line)
        if word.startswith("--"):
            _long_option(word, line, found)
        elif word.startswith("-") and word != "-":
            program = _short_options(word, line, found)
            if program is not None:
                return found.line(*program, line)
        else:
            return found.line("script", word, line)
    raise UsageError("name a program to record")


def _long_option(word: str, line: _Words, found: _Found) -> None:
    name, equals, glued = word.partition("=")
    if name == "--trace":
        found.trace = line.value(name, glued)
    elif name == "--redact":
        found.redact.append(line.value(name, glued))
    elif word == "--quiet":
        found.quiet = True
    elif name == "--chaos":
        found.chaos = _number(name, glued, LARGEST_SEED) if equals else int.from_bytes(os.urandom(4), "little")
    elif name == "--until-failure":
        found.most_runs = _number(name, glued, sys.maxsize) if equals else 0
        if equals and not found.most_runs:
            raise UsageError("--until-failure=0 would run nothing; leave out the number to run without an end")
    else:
        raise UsageError(f"there is no option {word}; options of the program stand after its name")


def _number(option: str, text: str, largest: int) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= largest):
        raise UsageError(f"{option}={text} is not a number from 0 to {largest}")
    return int(text)


def _short_options(word: str, line: _Words, found: _Found) -> tuple[str, str] | None:
    """Letters in one word, as in -qo TRACE or -qm MODULE; the program, when it is one of -m and -c."""
    for at, letter in enumerate(word[1:], 2):
        if letter == "q":
            found.quiet = True
        elif letter == "o":
            found.trace = line.value("-o", word[at:])
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


def main(words: list[str]) -> int:
    try:
        line = parse(words)
    except UsageError as error:
        complain(f"{error}; see `scope record --help`")
        return USAGE
    if line is None:
        sys.stdout.write(HELP)
        return OK
    if not line.options.trace:
        complain("-o needs the name of a file; see `scope record --help`")
        return USAGE
    if line.most_runs is None:
        return record(line.options)
    from retroscope.cli.until_failure import until_failure

    return until_failure(line.options, line.most_runs)
