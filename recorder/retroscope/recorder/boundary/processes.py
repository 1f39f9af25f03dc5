"""Other programs, started through `_posixsubprocess` and `posix`. Those that are this same Python are recorded too.

What a program gets is the command line and the environment that it was given. Where that runs this Python, the
recorder's own start-up is put before it (see `retroscope.recorder.joined`, which takes it away again): the call itself
is recorded with the arguments that the program gave. All other programs are only results.
"""

import posix

from retroscope.recorder.boundary.declare import Module, Policy, adapt
from retroscope.recorder.command_lines import parse, passed_on

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from retroscope.recorder.annotations import Args, Core, Kwargs
    from retroscope.recorder.command_lines import CommandLine

_HASH_SEED = b"PYTHONHASHSEED"
_HIDDEN = b"RETROSCOPE_"  # put before the names of variables that -E and -I hide from the interpreter
_HASHED_FREELY = (b"", b"random")

_core: "Core" = None
_own_binary: "tuple[int, int] | None" = None
_seed = 0
_started = 0  # processes by this one
_chaos = ""
_files = ("", "")  # startup.py, the native core


def know(seed: int, chaos: "int | None", startup: str, native: str) -> None:
    """What the processes must be told that this one starts. Only where this one is recorded."""
    global _seed, _chaos, _files
    _seed, _chaos, _files = seed, "" if chaos is None else str(chaos), (startup, native)


def will_be_recorded(path: "Any") -> bool:
    """May a program of this path be recorded in this recording?"""
    return bool(_files[0] and _core.door() and _is_this_python(path))


def _binary(path: "Any") -> "tuple[int, int] | None":
    """What the file is, whatever its name; None when it is not there or cannot be run."""
    try:
        status = posix.stat(path)
        return (status.st_dev, status.st_ino) if posix.access(path, posix.X_OK) else None
    except (OSError, TypeError, ValueError):
        return None


def _is_this_python(path: "Any") -> bool:
    global _own_binary
    if _own_binary is None:
        _own_binary = _binary("/proc/self/exe")
    return _own_binary is not None and _binary(path) == _own_binary


def _bytes(word: "Any") -> bytes:
    return word.encode("utf-8", "surrogateescape") if isinstance(word, str) else bytes(posix.fspath(word))


def _new_seed() -> bytes:
    """As plain Python has it, each process gets another one; made of our own, so that nobody is asked for it."""
    global _started
    _started += 1
    return str(hash((_seed, _core.process(), _started)) & 0xFFFF_FFFF).encode()


def _is_retroscope(line: "CommandLine") -> bool:
    """Is it another recording, or a replay, or the program that one of these runs?"""
    if line.kind == "module":
        return line.target.partition(".")[0] == "retroscope"
    return line.kind == "script" and line.target.endswith("/retroscope/recorder/startup.py")


def _with_recorder(path: "Any", argv: "Any", environment: "dict[bytes, bytes]") -> "list[bytes] | None":
    """The command line with our start-up before it, `environment` made fit; None when it cannot be recorded."""
    words = [_bytes(word) for word in argv]
    line = parse([word.decode("utf-8", "surrogateescape") for word in words]) if words else None
    if line is None or _is_retroscope(line):
        return None
    hides = "-E" in line.flags or "-I" in line.flags
    given = environment.get(_HASH_SEED)
    seed = given if given and given not in _HASHED_FREELY and not hides else _new_seed()
    if hides:
        for name in [name for name in environment if name.startswith(b"PYTHON")]:
            environment[_HIDDEN + name] = environment.pop(name)
    environment[_HASH_SEED] = seed
    flags = [_bytes(flag) for flag in passed_on(line.flags)]
    told = b"" if given is None or hides else given
    numbers = (str(_core.process()).encode(), seed, told, _bytes(path), _chaos.encode(), b"")
    return [words[0], b"-S", b"-P", *flags, _bytes(_files[0]), b"@" + _core.door(), _bytes(_files[1]), *numbers, *words]


_PREEXEC_FN = 21  # of the arguments of _posixsubprocess.fork_exec, 3.11 to 3.13


def _pairs(given: "Any") -> "dict[bytes, bytes]":
    """An environment as lists of NAME=VALUE have it; None: the process's own."""
    found: dict[bytes, bytes] = {}
    for entry in _core.environment() if given is None else given:
        name, _, value = _bytes(entry).partition(b"=")
        found.setdefault(name, value)
    return found


def _fork_exec(self: "Any", args: "Args", kwargs: "Kwargs") -> "Args | None":
    paths = args[1]
    path = next((path for path in paths if _binary(path)), None)
    if path is None or not _bytes(path).startswith(b"/") or not will_be_recorded(path):
        return None
    if args[5] is None and args[_PREEXEC_FN] is not None:
        return None  # what that puts into the environment is known in the child only
    environment = _pairs(args[5])
    words = _with_recorder(path, args[0], environment)
    if words is None:
        return None
    pairs = [name + b"=" + value for name, value in environment.items()]
    return (words, [path], *args[2:5], pairs, *args[6:])


def _spawn(self: "Any", args: "Args", kwargs: "Kwargs") -> "Args | None":
    if len(args) < 3 or not will_be_recorded(args[0]):
        return None
    given = args[2]
    pairs = {_bytes(name): _bytes(value) for name, value in given.items()} if given is not None else _pairs(None)
    words = _with_recorder(args[0], args[1], pairs)
    return None if words is None else (args[0], words, pairs, *args[3:])


def _note_start(self: "Any", args: "Args", kwargs: "Kwargs") -> bool:
    """What it shares with this process, it may write into from now on."""
    _core.starts_process()
    return True


def _tell_started(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    """It may come to the drain only after we are gone: so the drain waits for it."""
    paths = args[1] if isinstance(args[0], (list, tuple)) else args[:1]
    if any(map(will_be_recorded, paths)):
        _core.saw_start(result)
    return result


def rewrite_exec(self: "Any", args: "Args", kwargs: "Kwargs") -> "Args | None":
    """posix.execve(path, argv, env); of execv, which has no environment, the variables are set in place."""
    if len(args) == 3:
        return _spawn(self, args, kwargs)
    if len(args) != 2 or not will_be_recorded(args[0]):
        return None
    before = _pairs(None)
    after = dict(before)
    words = _with_recorder(args[0], args[1], after)
    if words is None:
        return None
    for name in before.keys() - after.keys():
        posix.unsetenv(name)
    for name, value in after.items():
        posix.putenv(name, value)
    return (args[0], words)


SPAWN = adapt(_tell_started, None, when=_note_start, rewrite=_spawn)
STARTS = Policy("RESULT", when=_note_start)
"""Starts a process that is not ours to record: not a Python, or one that a shell finds."""
_FORK_EXEC = adapt(_tell_started, None, when=_note_start, rewrite=_fork_exec)

MODULES = [Module("_posixsubprocess", special={"fork_exec": _FORK_EXEC})]
