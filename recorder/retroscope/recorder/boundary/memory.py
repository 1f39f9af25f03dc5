"""What tracemalloc knows of memory. Its traces share their file names and frames, and come back sharing them."""

from retroscope.recorder.boundary.declare import Module, adapt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from retroscope.recorder.annotations import Args, Kwargs


def _place(item: "Any", kept: "list[Any]", places: "dict[int, int]") -> int:
    """Where this very object is in `kept`, where it is put when it is new."""
    if id(item) not in places:
        places[id(item)] = len(kept)
        kept.append(item)
    return places[id(item)]


def _encode_traces(traces: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    """(names, stacks, traces): a stack refers to its names, a trace to its stack, by their places."""
    names: list[Any] = []
    stacks: list[Any] = []
    name_places: dict[int, int] = {}
    stack_places: dict[int, int] = {}
    rows = [(domain, size, _place(stack, stacks, stack_places), *rest) for domain, size, stack, *rest in traces]
    frames = [[(_place(name, names, name_places), line) for name, line in stack] for stack in stacks]
    return (names, frames, rows)


def _decode_traces(value: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    names, frames, rows = value
    stacks = [tuple((names[name], line) for name, line in stack) for stack in frames]
    return [(domain, size, stacks[stack], *rest) for domain, size, stack, *rest in rows]


MODULES = [Module("_tracemalloc", special={"_get_traces": adapt(_encode_traces, _decode_traces)})]
