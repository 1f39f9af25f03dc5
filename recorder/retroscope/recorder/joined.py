"""The start of a Python that a recorded program has started: it joins the recording.

Its command line is our start-up, what it needs to know, and then the command line that the program had given, which is
all that the program of this process will see. If there is no recording to join any more, it runs that, unrecorded.
"""

import marshal
import posix
import sys

from retroscope.recorder.command_lines import CommandLine, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from retroscope.recorder.annotations import Config, Core

_HIDDEN = b"RETROSCOPE_PYTHON"  # PYTHON… variables that -E and -I hide from the interpreter
_LONGEST_WORD, _MOST_WORDS = 500, 40  # of a command line that is shown
_WORDS = 9  # in sys.argv before the program's own command line


def configuration(argv: "list[str]") -> "Config":
    """What docs/architecture.md calls the configuration, for a recording, from our sys.argv."""
    _, door, core, parent, seed, told, path, chaos, cwd = argv[:_WORDS]
    command = argv[_WORDS:]
    line = parse(command)
    assert line is not None, "only what can be recorded is started so"
    by_file = bool(sys.flags.isolated)  # a ._pth beside the interpreter: -I is never passed on to us
    isolated = "-I" in line.flags or by_file
    hides = isolated or "-E" in line.flags
    return {
        "mode": "record", "core": core, "seed": int(seed), "chaos": int(chaos) if chaos else None,
        "kind": line.kind, "target": line.target, "args": line.args, "flags": line.flags,
        "environ_hashseed": told or None, "environ_hidden": _hidden(), "cwd": cwd or _cwd(),
        "executable": sys.executable, "orig_argv": command, "isolated": isolated, "ignore_environment": hides,
        "no_site": "-S" in line.flags or by_file,
        "no_user_site": "-I" in line.flags or bool(sys.flags.no_user_site), "isolated_by_file": by_file,
        "safe_path": isolated or "-P" in line.flags or (not hides and bool(posix.environ.get(b"PYTHONSAFEPATH"))),
        "door": door[1:], "parent": int(parent), "path": path,
    }  # fmt: skip


def _cwd() -> str:
    try:
        return posix.getcwd()
    except OSError:
        return ""


def _hidden() -> "dict[str, str]":
    """Takes them out of the environment."""
    found = {}
    for name in [name for name in posix.environ if name.startswith(_HIDDEN)]:
        value = posix.environ.pop(name)
        posix.unsetenv(name)
        found[_text(name[len(b"RETROSCOPE_") :])] = _text(value)
    return found


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def ask(core: "Core", config: "Config") -> int:
    """The descriptor of this process's ring; without one, the program runs in our place and this never returns."""
    words = CommandLine(config["flags"], config["kind"], config["target"], config["args"]).words
    facts = {
        "kind": config["kind"],
        "target": config["target"][:_LONGEST_WORD],
        "argv": [word[:_LONGEST_WORD] for word in words[:_MOST_WORDS]],
        "cwd": config["cwd"],
        "executable": config["executable"],
        "flags": config["flags"],
        "outputs": [_file(1), _file(2)],
        "python": ".".join(map(str, sys.version_info[:3])),
    }
    site_ran = not sys.flags.no_site  # in spite of our -S: a ._pth beside the interpreter says so
    ring: int = -1 if site_ran else core.join(config["door"], config["parent"], marshal.dumps(facts))
    if ring < 0:
        _run_unrecorded(config)
    return ring


def _file(descriptor: int) -> "tuple[int, int] | None":
    """Which file a descriptor is of: what goes into a pipe is not the output of the whole program."""
    try:
        status = posix.fstat(descriptor)
    except OSError:
        return None
    return (status.st_dev, status.st_ino)


def _run_unrecorded(config: "Config") -> None:
    environment = dict(posix.environ)
    environment.pop(b"PYTHONHASHSEED", None)
    if config["environ_hashseed"] is not None:
        environment[b"PYTHONHASHSEED"] = config["environ_hashseed"].encode("utf-8", "surrogateescape")
    for name, value in config["environ_hidden"].items():
        environment[name.encode("utf-8", "surrogateescape")] = value.encode("utf-8", "surrogateescape")
    posix.execve(config["path"], config["orig_argv"], environment)
