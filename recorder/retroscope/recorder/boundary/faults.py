"""faulthandler: it keeps the files that it is to write to, and in a replay nobody else would."""

from retroscope.recorder.boundary.declare import Module, always, argument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from retroscope.recorder.annotations import Args, Core, Kwargs
    from retroscope.recorder.boundary.declare import Policy

_core: "Core" = None
_kept: "dict[Any, list[Any]]" = {}  # a list of the one file, by what it is for: "crashes", "later" or a signal


def _exchange(purpose: "Any", kept: "list[Any]") -> None:
    """What was kept may die here, which code of the program may see."""
    before = _kept.get(purpose)
    _kept[purpose] = kept
    if before:
        _core.visible(before.clear, ())


def _keeps(index: int, purpose: str = "") -> "Policy":
    """A function that is given a file as argument `index`, or takes sys.stderr; without a `purpose` for a signal."""

    def wrap(call: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
        import sys

        result = call(self, *args, **(kwargs or {}))
        file = argument(args, kwargs, index, "file")
        kept = sys.__dict__.get("stderr") if file is None else file
        _exchange(purpose or argument(args, kwargs, 0, "signum"), [kept])
        return result

    return always(wrap)


def _lets_go(purpose: str = "") -> "Policy":
    def wrap(call: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
        result = call(self, *args, **(kwargs or {}))
        _exchange(purpose or args[0], [])
        return result

    return always(wrap)


MODULES = [
    Module(
        "faulthandler",
        special={
            "enable": _keeps(0, "crashes"),
            "disable": _lets_go("crashes"),
            "dump_traceback_later": _keeps(2, "later"),
            "cancel_dump_traceback_later": _lets_go("later"),
            "register": _keeps(1),
            "unregister": _lets_go(),
        },
    )
]
