"""input(). At a terminal it reads below the streams, through readline; everywhere else through them.

There it is what CPython's `builtin_input` does, step by step: only the line itself is an input. The streams may be the
program's own (one that also writes to a file), and what they hold back is written before the prompt, in a replay too.
"""

import builtins
import posix
import sys

from retroscope.recorder.boundary.declare import PASS, Module, Policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from retroscope.recorder.annotations import Args, Core, Kwargs

_core: "Core" = None
_isatty, _audit, _getattr = posix.isatty, sys.audit, builtins.getattr


def _stream(name: str) -> "Any":
    return sys.__dict__.get(name)


def _call(stream: "Any", name: str) -> "Any":
    """A method of the program's stream, as the program; None where that fails, as CPython has it."""
    try:
        return _core.visible(_core.visible(_getattr, (stream, name)), ())
    except BaseException:
        return None


def _texts(stream: "Any") -> "list[str] | None":
    """Its encoding and how errors are handled; None where it does not say."""
    try:
        found = [_core.visible(_getattr, (stream, name)) for name in ("encoding", "errors")]
    except BaseException:
        return None
    return found if all(isinstance(text, str) for text in found) else None


def _at_terminal(self: "Any", args: "Args", kwargs: "Kwargs") -> bool:
    """They may have become terminals since the program began (forkpty, dup2), so the system is asked each time."""
    stdin, stdout = _stream("stdin"), _stream("stdout")
    return (
        len(args) < 2
        and not kwargs
        and _stream("stderr") is not None
        and _core.visible(_isatty, (0,))
        and _core.visible(_isatty, (1,))
        and _call(stdin, "fileno") == 0
        and _call(stdout, "fileno") == 1
        and _texts(stdin) is not None
        and (not args or _texts(stdout) is not None)
    )


def _ask(call: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> str:
    visible = _core.visible
    visible(_audit, ("builtins.input", *(args or (None,))))
    stdin, stdout = _stream("stdin"), _stream("stdout")
    _call(_stream("stderr"), "flush")
    encoding = _texts(stdin) or ["utf-8", "strict"]
    _call(stdout, "flush")
    prompt = visible(str.encode, (visible(str, args), *(_texts(stdout) or ()))) if args else b""
    if b"\0" in prompt:
        raise ValueError("input: prompt string cannot contain null characters")
    line = visible(_core.terminal_line, (prompt,))
    if not line:
        raise EOFError
    result: str = visible(bytes.decode, (line[:-1].removesuffix(b"\r"), *encoding))
    visible(_audit, ("builtins.input/result", result))
    return result


def _line_crosses(core: "Core", module: "Any") -> None:
    core.patch(core.terminal_line, core, "terminal_line", "builtins.input", core.RESULT, blocking=core.BLOCKS_ALWAYS)


MODULES = [
    Module(
        "builtins",
        functions=PASS,
        special={"input": Policy("RESULT", wrap=_ask, index=-1, when=_at_terminal)},
        ready=_line_crosses,
    )
]
