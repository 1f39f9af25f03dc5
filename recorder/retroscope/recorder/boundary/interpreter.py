"""What the interpreter tells of itself and of memory."""

from retroscope.recorder.boundary.declare import PASS, RERUN, RESULT, Module, adapt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from retroscope.recorder.annotations import Args, Core, Kwargs

_core: "Core" = None


def bind(core: "Core") -> None:
    global _core
    _core = core


def _at_terminal(self: "Any", args: "Args", kwargs: "Kwargs") -> bool:
    """input() reads through readline, below the streams, when both are terminals."""
    import sys

    stdin, stdout = sys.__stdin__, sys.__stdout__
    return bool(stdin and stdout and _is_terminal(stdin) and _is_terminal(stdout))


def _is_terminal(stream: "Any") -> bool:
    return bool(stream.line_buffering and not stream.closed)


MODULES = [
    Module("builtins", functions=PASS, special={"id": RESULT, "input": adapt(None, None, when=_at_terminal)}),
    Module(
        "sys",
        functions=PASS,
        special={"getrefcount": RESULT, "getallocatedblocks": RESULT, "_debugmallocstats": RESULT},
    ),
    Module(
        "gc",
        functions=PASS,
        special={"collect": RERUN, "get_count": RESULT, "get_stats": RESULT, "is_tracked": RESULT},
    ),
    Module("_tracemalloc"),
    Module("faulthandler"),
]
