"""Limits of resources: setting them is recorded, not repeated. One of memory shows in what no call returns."""

from retroscope.recorder.boundary.declare import Module, Policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from retroscope.recorder.annotations import Args, Core, Kwargs

_MEMORY = {2: "RLIMIT_DATA", 9: "RLIMIT_AS"}  # Linux
_core: "Core" = None
_noted = False


def bind(core: "Core") -> None:
    global _core
    _core = core


def note(limit: str, size: int) -> None:
    """Tells once that memory may run out in the recording alone."""
    global _noted
    if not _noted and not _core.replaying():
        _noted = True
        _core.note(
            f"memory is limited ({limit} {size >> 20} MiB), which it is not in a replay: if it ran out and the program "
            "went on with a MemoryError, the replay stops there"
        )


def _note_own(self: "Any", args: "Args", kwargs: "Kwargs") -> bool:
    """The last two arguments of setrlimit(resource, limits) and prlimit(pid, resource, limits)."""
    if len(args) >= 2 and isinstance(args[-2], int) and isinstance(args[-1], tuple) and args[-1]:
        limit, size = _MEMORY.get(args[-2]), args[-1][0]
        if limit and isinstance(size, int) and size >= 0:
            note(limit, size)
    return True


_limits = Policy("RESULT", when=_note_own)

MODULES = [Module("resource", special={"setrlimit": _limits, "prlimit": _limits})]
