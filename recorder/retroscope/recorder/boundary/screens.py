"""curses: what a terminal can do and what is typed there. In replay nothing is drawn."""

import sys

from retroscope.recorder.boundary.declare import RESULT, Module, Policy, Type, adapt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from retroscope.recorder.annotations import Args, Core, Kwargs

_core: "Core" = None

_FACTS = ("ACS_", "COLOR", "LINES", "COLS")


def _encode_facts(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    """These functions also note in the module what the terminal is like."""
    facts = vars(sys.modules["_curses"]).items()
    return result is not None, {name: value for name, value in facts if name.startswith(_FACTS)}


def _decode_facts(value: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    is_window, facts = value
    module = sys.modules["_curses"]
    vars(module).update(facts)
    return _core.allocate(vars(module)["window"]) if is_window else None


def _encode_window(window: "Any") -> None:
    return None


def _make_window(kind: type, value: "Any", self: "Any") -> "Any":
    """An empty shell: everything that would look inside is at the boundary."""
    return _core.allocate(kind)


_facts: Policy = adapt(_encode_facts, _decode_facts)

MODULES = [
    Module(
        "_curses",
        special=dict.fromkeys(("initscr", "start_color", "update_lines_cols", "resizeterm", "resize_term"), _facts),
        types=[
            Type(
                "window",
                attributes=RESULT,
                special={"encoding=": RESULT},
                handle=(_encode_window, _make_window),
            )
        ],
    )
]
