"""Command lines of Python: which words are the interpreter's own, and what it is to run.

Loaded in the drain and in the user's interpreter: it imports nothing.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_MOVED = "EIPSx"  # interpreter flags that start-up applies itself, from the configuration
_ALONE = "bBdEIOPqRsSuvx"  # letters that may stand together, and need no value


class CommandLine:
    """`flags`, one option an item; `kind` is "script", "module" or "code"; its path, name or text; the arguments."""

    def __init__(self, flags: "list[str]", kind: str, target: str, args: "list[str]") -> None:
        self.flags = flags
        self.kind = kind
        self.target = target
        self.args = args

    @property
    def words(self) -> "list[str]":
        """What follows the flags."""
        option = {"module": ["-m"], "code": ["-c"]}.get(self.kind, [])
        return [*option, self.target, *self.args]


def passed_on(flags: "list[str]") -> "list[str]":
    """Those that the interpreter is to get itself, of `flags`, where the value of an option is an item too."""
    return [flag for flag in flags if not (len(flag) == 2 and flag[0] == "-" and flag[1] in _MOVED)]


def own_flags(command: "list[str]") -> "list[str]":
    """The interpreter's own options out of a whole command line (sys.orig_argv), one option per item.

    Up to the script, -m or -c, as in `Modules/getopt` of CPython: `-bX dev -Wall x.py` → -b, -X dev, -W all.
    """
    flags: list[str] = []
    words = iter(command[1:])
    for word in words:
        if word == "--check-hash-based-pycs":
            flags += [word, next(words, "")]
        if not word.startswith("-") or word == "-" or word.startswith("--"):
            if word.startswith("--check"):
                continue
            break
        for at, letter in enumerate(word[1:], 2):
            if letter in "cm":
                return flags
            if letter in "WX":
                flags += [f"-{letter}", word[at:] or next(words, "")]
                break
            flags.append(f"-{letter}")
    return flags


def parse(command: "list[str]") -> "CommandLine | None":
    """None where there is no program that could be recorded: an interactive one, one on standard input, -V, -h."""
    flags: list[str] = []
    words = iter(command[1:])
    for word in words:
        if word == "--check-hash-based-pycs":
            flags += [word, next(words, "")]
        elif word == "-" or word.startswith("--"):
            return None
        elif not word.startswith("-"):
            return CommandLine(flags, "script", word, list(words))
        else:
            found = _letters(word, words, flags)
            if isinstance(found, CommandLine) or not found:
                return found or None
    return None


def _letters(word: str, words: "Iterator[str]", flags: "list[str]") -> "CommandLine | bool":
    """One word of single-letter options: the program that it names; else whether it can be recorded as far."""
    for at, letter in enumerate(word[1:], 2):
        if letter in "cm":
            target = word[at:] or next(words, None)
            kind = "code" if letter == "c" else "module"
            return CommandLine(flags, kind, target, list(words)) if target is not None else False
        if letter in "WX":
            flags += [f"-{letter}", word[at:] or next(words, "")]
            return True
        if letter not in _ALONE:
            return False
        flags.append(f"-{letter}")
    return True
