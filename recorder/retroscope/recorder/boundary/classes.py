"""Which subclasses a class has: those of Retroscope are not shown. A replay has others of them than the recording."""

from retroscope.recorder.boundary.declare import PASS, Module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from retroscope.recorder.annotations import Core

_subclasses = type.__subclasses__


def _hide_ours(core: "Core", module: "Any") -> None:
    core.patch(
        type.__dict__["__subclasses__"], type, "__subclasses__", "builtins.type.__subclasses__", core.HOOK,
        encode=core.own_classes_leave_out,
    )  # fmt: skip


def begin(core: "Core", before: "dict[int, type]") -> None:
    """The program is about to begin: what was not there at the very beginning is there because of us."""
    now = {id(object): object}
    waiting = [object]
    for kind in waiting:
        for each in _subclasses(kind):
            if id(each) not in now:
                now[id(each)] = each
                waiting.append(each)
    core.own_classes_begin([kind for kind in waiting if id(kind) not in before])


MODULES = [Module("builtins", functions=PASS, ready=_hide_ours)]
