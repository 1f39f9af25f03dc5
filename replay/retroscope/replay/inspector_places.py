"""Where the program keeps a value, for a memory watch; loaded hidden, as `inspector.py` is.

A place is a tuple that means the same at every tick, because replay puts every object at the same address: ("local" or
"cell", name, depth of the frame, address of its code, number of the thread), or ("attribute", "item" or "object", name
or repr of the key, address of the object, address of its type, 0). Of variables of a generator or coroutine, which live
on while that waits, its address and that of its type follow; where it is on no stack, the thread is 0. `stacks`: each
thread's frames, innermost first.
"""

import builtins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Place = tuple[Any, ...]
    Stacks = dict[int, list[Any]]
    Line = tuple[str, int, list[tuple[int, int]], str, int]
    State = tuple[int, int, str, list[tuple[int, int]]]
else:  # nothing may be imported here that the program would find imported
    Any = Line = Place = Stacks = State = tuple

if "Shelf" not in globals():  # a replay process runs all files in one namespace, inspector_values.py first
    from retroscope.replay.inspector_values import attributes, render, type_name

__builtins__: Any = dict(vars(builtins))  # type: ignore[no-redef,unused-ignore]

_ONLY_TREE = 0x400  # ast.PyCF_ONLY_AST
_OPTIMIZED = 1  # inspect.CO_OPTIMIZED: the frame keeps its locals in slots
_mro_of = type.__dict__["__mro__"].__get__
_space_of = type.__dict__["__dict__"].__get__


def find_place(core: Any, stacks: Stacks, thread: int, at: int, text: str) -> Place:
    """Where the value of `text` is kept in the scope of a thread's frame; LookupError with the reason if it is not."""
    node: Any = compile(text.strip(), "<expression>", "eval", _ONLY_TREE)
    node = node.body
    steps = []
    while type(node).__name__ in ("Attribute", "Subscript"):
        is_attribute = type(node).__name__ == "Attribute"
        steps.append(("attribute", node.attr) if is_attribute else ("item", constant(node.slice)))
        node = node.value
    if type(node).__name__ != "Name":
        raise LookupError("only names, attributes and constant items can be watched, such as order.lines[0].price")
    place = name_place(core, stacks[thread], at, thread, node.id)
    while steps:
        kind, key = steps.pop()
        place = stored_place(core, value_at(core, stacks, place), kind, key, bool(steps))
    return place


def constant(node: Any) -> str:
    """The repr of a constant, perhaps negative."""
    if type(node).__name__ == "UnaryOp" and type(node.op).__name__ == "USub":
        return "-" + constant(node.operand)
    if type(node).__name__ != "Constant":
        raise LookupError("only constants can stand in [ ] here")
    return repr(node.value)


def name_place(core: Any, frames: list[Any], at: int, thread: int, name: str) -> Place:
    frame = frames[at]
    code = frame.f_code
    known = dict(frame.f_locals)
    if name in known and frame.f_locals is not frame.f_globals:
        if code.co_flags & _OPTIMIZED:
            shared = name in code.co_cellvars or name in code.co_freevars
            place = "cell" if shared else "local", name, len(frames) - at, id(code), thread
            return (*place, *core.watch_generator(frame))
        return "item", repr(name), id(frame.f_locals), id(dict), 0  # the body of a class
    if name in frame.f_globals:
        return "item", repr(name), id(frame.f_globals), id(dict), 0
    raise LookupError(name + " has no value here")


def stored_place(core: Any, container: Any, kind: str, key: str, on_the_way: bool) -> Place:
    """`on_the_way`: something inside of it is meant, so that what never changes may be passed through."""
    own = type(container)
    if kind == "attribute":
        return attribute_place(core, container, key)
    if issubclass(own, (dict, list)):
        if not core.watch_item(container, eval(key)):
            raise LookupError("there is no item " + key)
        return "item", key, id(container), id(own), 0
    if issubclass(own, tuple) and on_the_way:
        item = tuple.__getitem__(container, eval(key))
        return "object", "", id(item), id(type(item)), 0
    never = "the items of a tuple never change" if issubclass(own, tuple) else "how it keeps its items is not known"
    raise LookupError(type_name(own) + ": " + never)


def attribute_place(core: Any, container: Any, name: str) -> Place:
    own = type(container)
    if core.watch_attribute(container, name):
        return "attribute", name, id(container), id(own), 0
    if name in dict(attributes(container)):
        raise LookupError(type_name(own) + ": where it keeps " + name + " is not known")
    for base in _mro_of(container if issubclass(own, type) else own):
        if name in _space_of(base):
            found = _space_of(base)[name]
            if "__get__" in dir(type(found)) and "__set__" in dir(type(found)):
                raise LookupError(name + " is computed whenever it is read, it is kept nowhere")
            return "attribute", name, id(base), id(type(base)), 0
    raise LookupError(type_name(own) + " has no attribute " + name + " here")


def slot_of(core: Any, stacks: Stacks, place: Place) -> int:
    """The address where the place is now; LookupError when it is not there."""
    kind, key, where, what, _ = place[:5]
    if kind in ("local", "cell"):
        frame = frame_of(core, stacks, place)
        if frame is None or id(frame.f_code) != what:
            raise LookupError("its function is not running")
        slot = core.watch_local(frame, key)
    elif kind == "attribute":
        slot = core.watch_attribute(core.watch_object(where, what), key)
    else:
        slot = core.watch_item(core.watch_object(where, what), eval(key))
    if not slot:
        raise LookupError("it has no value")
    return int(slot)


def frame_of(core: Any, stacks: Stacks, place: Place) -> Any:
    """The frame of a variable; None when it is not there."""
    if len(place) > 5:
        keeper = core.watch_object(*place[5:])
        names = [name for name in ("gi_frame", "cr_frame", "ag_frame") if hasattr(keeper, name)]
        return getattr(keeper, names[0]) if names else None
    frames, depth = stacks.get(place[4], []), place[2]
    return frames[len(frames) - depth] if depth <= len(frames) else None


def place_on_stack(core: Any, stacks: Stacks, place: Place) -> tuple[int, int]:
    """(thread, depth) of a variable's frame; (0, 0): it is on no stack."""
    frame = frame_of(core, stacks, place)
    for thread, frames in stacks.items():
        for at, other in enumerate(frames):
            if other is frame:
                return thread, len(frames) - at
    return 0, 0


def positions(stacks: Stacks) -> list[tuple[int, int, int, int]]:
    """(thread, depth, address of the code, offset of the instruction under way) of every frame of every thread."""
    found = []
    for thread, frames in stacks.items():
        for at, frame in enumerate(frames):
            found.append((thread, len(frames) - at, id(frame.f_code), frame.f_lasti))
    return found


def line_under_way(stacks: Stacks, thread: int, depth: int) -> Line:
    """(bytecode in hex, offset of the instruction under way, spans of its line, file, line) of a frame."""
    frames = stacks[thread]
    frame = frames[len(frames) - depth]
    code = frame.f_code
    spans = [(start, end) for start, end, line in code.co_lines() if line == frame.f_lineno]
    return code.co_code.hex(), frame.f_lasti, spans, code.co_filename, frame.f_lineno


def arguments_of(code: Any) -> list[str]:
    """The names of the parameters of a function."""
    flags = code.co_flags
    return list(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + bool(flags & 4) + bool(flags & 8)])


def value_at(core: Any, stacks: Stacks, place: Place) -> Any:
    if place[0] == "object":
        return core.watch_object(place[2], place[3])
    return core.watch_load(slot_of(core, stacks, place))


def state_of(core: Any, stacks: Stacks, place: Place) -> State:
    """(address of the value, digest of its items, its text, ranges of memory that say whether it changes)."""
    slot = slot_of(core, stacks, place)
    value = core.watch_load(slot)
    ranges = [(slot, 8), *core.watch_contents(value)]
    return id(value), digest_of_items(value), render(value), ranges


def digest_of_items(value: Any) -> int:
    """Says whether a container holds the same objects in the same order."""
    kind = type(value)
    if issubclass(kind, dict):
        return hash(tuple([(id(key), id(item)) for key, item in dict.items(value)]))
    if issubclass(kind, bytearray):
        return hash(bytes(value))
    for base in (list, set):
        if issubclass(kind, base):
            return hash(tuple(map(id, base.__iter__(value))))
    return 0
