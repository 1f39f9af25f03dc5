"""asyncio tasks of one moment with their chains of awaiting coroutines; loaded hidden, as `inspector.py` is."""

import builtins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    TaskRow = tuple[str, str, str, list[Any]]
else:  # nothing may be imported here that the program would find imported
    Any = TaskRow = list

if "Shelf" not in globals():  # a replay process runs all files in one namespace, inspector_threads.py first
    from retroscope.replay.inspector_places import _mro_of, _space_of
    from retroscope.replay.inspector_threads import called_by_user, module_names, own_field
    from retroscope.replay.inspector_values import attributes, clip, type_name

__builtins__: Any = dict(vars(builtins))  # type: ignore[no-redef,unused-ignore]

_MOST_CHAIN = 1000
_MOST_NAMED = 5
_WRAPPERS = ("coroutine_wrapper", "async_generator_asend", "async_generator_athrow", "anext_awaitable")
_SUSPENDED = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))


def all_tasks() -> list[Any]:
    """Every task that is not over, in the order of their names."""
    names = module_names("asyncio.tasks")
    found: dict[int, Any] = {}
    for name in ("_all_tasks", "_scheduled_tasks", "_eager_tasks"):
        group = names.get(name)
        references = dict(attributes(group)).get("data") if group is not None else None
        members: Any = [each() for each in references] if type(references) is set else group
        if type(members) in (list, set):
            found.update({id(task): task for task in members if task is not None})
    alive = [task for task in found.values() if own_field(task, "_state") == "PENDING"]
    return sorted(alive, key=lambda task: natural(task_name(task)))


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts Task-10 behind Task-9."""
    parts, digits = [""], False
    for letter in name:
        if letter.isdigit() is not digits:
            parts.append("")
            digits = not digits
        parts[-1] += letter
    return [(int(part) if part.isdecimal() else 0, part) for part in parts]


def task_name(task: Any) -> str:
    for base in _mro_of(type(task)):
        getter = _space_of(base).get("get_name")
        if getter is not None and type_name(base).startswith("_asyncio."):
            return str(getter(task))
    name = dict(attributes(task)).get("_name")
    return name if type(name) is str else "?"


def task_rows(threads: dict[int, list[Any]], visible: Any) -> list[TaskRow]:
    """(name, state, what it waits for, frames innermost first) of each task that is not over."""
    current = module_names("asyncio.tasks").get("_current_tasks")
    running = list(current.values()) if type(current) is dict else []
    rows = []
    for task in all_tasks():
        frames = task_frames(own_field(task, "_coro"), threads)
        waiter = own_field(task, "_fut_waiter")
        if any(task is each for each in running):
            state, waits = "running", ""
        elif waiter is None:
            state, waits = "ready", ""
        else:
            state, waits = "waiting", waits_for_future(waiter, frames, visible)
        rows.append((task_name(task), state, waits, frames))
    return rows


def waits_for_future(waiter: Any, frames: list[Any], visible: Any) -> str:
    """In a few words, what a task waits for whose innermost await is of `waiter`."""
    if is_task(waiter):
        return "for task " + task_name(waiter)
    if type_name(type(waiter)) == "asyncio.tasks._GatheringFuture":
        children = object.__getattribute__(waiter, "_children")  # its dictionary is not to be had from 3.12 on
        names = [task_name(child) for child in children if is_task(child) and own_field(child, "_state") == "PENDING"]
        more = ", …" if len(names) > _MOST_NAMED else ""
        return "for all of " + ", ".join(names[:_MOST_NAMED]) + more
    called = called_by_user(frames, visible)
    return "in " + called if called else "for a " + clip(type_name(type(waiter)), 80)


def is_task(value: Any) -> bool:
    return own_field(value, "_coro") is not None


def task_frames(coroutine: Any, threads: dict[int, list[Any]]) -> list[Any]:
    """The frames of a coroutine and of what it awaits, innermost first."""
    outermost = own_field(coroutine, "cr_frame")
    if outermost is None:
        outermost = own_field(coroutine, "gi_frame")
    for stack in threads.values():
        if any(frame is outermost for frame in stack):  # it runs
            return stack[: [frame is outermost for frame in stack].index(True) + 1]
    chain: list[Any] = []
    while coroutine is not None and len(chain) < _MOST_CHAIN:
        frame, awaited = suspended(coroutine)
        if frame is not None:
            chain.append(frame)
        coroutine = awaited
    return chain[::-1]


def suspended(value: Any) -> tuple[Any, Any]:
    """(its frame or None, what it awaits or None) of anything that a coroutine can await."""
    for frame_name, awaited_name in _SUSPENDED:
        frame = own_field(value, frame_name)
        if frame is not None:
            return frame, own_field(value, awaited_name)
    if type_name(type(value)) in _WRAPPERS:
        behind = __import__("gc").get_referents(value)
        return None, behind[0] if behind else None
    return None, None
