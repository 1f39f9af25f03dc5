"""Threads and asyncio tasks of one moment: names, states, stacks; loaded hidden, as `inspector.py` is.

What the program could override is not asked: names and locks are read from where the standard library keeps them.
"""

import builtins
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    ThreadRow = tuple[int, str, str, str]
    Visible = Callable[[Any], bool]
else:  # nothing may be imported here that the program would find imported
    Any = Callable = Visible = ThreadRow = list

if "Shelf" not in globals():  # a replay process runs all files in one namespace, inspector_values.py first
    from retroscope.replay.inspector_places import _mro_of, _space_of
    from retroscope.replay.inspector_values import _GetSet, _Member, attributes, type_name

__builtins__: Any = dict(vars(builtins))  # type: ignore[no-redef,unused-ignore]


def frames_from(frame: Any) -> list[Any]:
    """The program's frames, innermost first."""
    found = []
    while frame is not None:
        found.append(frame)
        frame = frame.f_back
    return found


def own_field(value: Any, name: str) -> Any:
    """A field of an object of the standard library, in C or in Python, None where it has none."""
    for base in _mro_of(type(value)):
        place = _space_of(base).get(name)
        if type(place) in (_GetSet, _Member):
            return place.__get__(value)
    return dict(attributes(value)).get(name)


def module_names(module: str) -> dict[str, Any]:
    """The names of a module that the program has imported; empty when it has not."""
    found = sys.modules.get(module)
    return dict(attributes(found)) if type(found) is type(sys) else {}


def called_by_user(frames: list[Any], visible: Any) -> str:
    """The library function that the user's own code called last, as module.qualified; empty when it is in none."""
    name = ""
    for frame in frames:
        if visible(frame.f_code):
            return name
        name = str(frame.f_globals.get("__name__")) + "." + frame.f_code.co_qualname
    return ""  # there is no code of the user's below


# -- threads


def thread_objects() -> dict[int, Any]:
    """The `threading.Thread` of each ident."""
    active = module_names("threading").get("_active")
    return dict(active) if type(active) is dict else {}


def thread_rows(threads: list[Any], stacks: dict[int, list[Any]], visible: Any) -> list[ThreadRow]:
    """(number, name, state, what it waits for) of each thread that `core.threads()` gave."""
    objects = thread_objects()
    numbers = {ident: number for number, ident, *_ in threads}
    rows = []
    for number, ident, state, _frame, function, owner in threads:
        thread = objects.get(ident) if state != "finished" else None
        name = own_field(thread, "_name") if thread is not None else None
        if type(name) is not str:
            name = "MainThread" if number == 1 else "thread " + str(number)
        waits = waits_for(stacks.get(number, []), function, owner, numbers, visible) if state == "waiting" else ""
        rows.append((number, name, state, waits))
    return rows


def waits_for(frames: list[Any], function: str | None, owner: Any, numbers: dict[int, int], visible: Any) -> str:
    """In a few words, what a thread that stands in the callable `function` of `owner` waits for."""
    for ident, thread in thread_objects().items():
        if owner is not None and (owner is own_field(thread, "_tstate_lock") or owner is own_field(thread, "_handle")):
            return "for thread " + str(numbers.get(ident, "?")) + " to end"
    held = ""
    if type_name(type(owner)) == "_thread.RLock" and " owner=" in repr(owner):
        ident = int(repr(owner).partition(" owner=")[2].partition(" ")[0])
        held = " that thread " + str(numbers[ident]) + " holds" if ident in numbers else ""
    return "in " + (called_by_user(frames, visible) or str(function)) + held
