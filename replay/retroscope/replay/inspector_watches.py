"""What a watch looks at: one place, or an expression over several; loaded hidden, as `inspector.py` is.

A subject is ("place", place, whether its frame is one that pauses, as generators do, whether it is an argument), or
("expression", its text with _0, _1 … for the places, the places). An expression is followed only where its value hangs
on nothing else: operators and a few builtin functions on plain values.
"""

import builtins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Subject = tuple[Any, ...]
    WatchState = tuple[int, int, str, list[tuple[int, int]]]
else:  # nothing may be imported here that the program would find imported
    Any = Subject = WatchState = tuple

if "Shelf" not in globals():  # a replay process runs all files in one namespace, inspector_places.py first
    from retroscope.replay.inspector_places import (
        Stacks,
        _mro_of,
        _space_of,
        arguments_of,
        find_place,
        slot_of,
        state_of,
    )
    from retroscope.replay.inspector_values import _GetSet, _Member, clip, type_name

__builtins__: Any = dict(vars(builtins))  # type: ignore[no-redef,unused-ignore]

_MOST_SHOWN = 160
_DEEPEST = 20
_PAUSES = 0x20 | 0x80 | 0x200  # inspect.CO_GENERATOR, CO_COROUTINE, CO_ASYNC_GENERATOR
_MANAGED_DICT = 1 << 4  # Py_TPFLAGS_MANAGED_DICT
_PLAIN_KINDS = (int, float, complex, bool, str, bytes, type(None))
_NESTS = (list, tuple, dict, set, frozenset)
_FOLLOWED = (
    "BoolOp", "And", "Or", "BinOp", "UnaryOp", "Not", "USub", "UAdd", "Invert", "Compare", "IfExp", "Tuple", "List",
    "Constant", "Load", "Add", "Sub", "Mult", "Div", "FloorDiv", "Mod", "Pow", "LShift", "RShift", "BitOr", "BitXor",
    "BitAnd", "Eq", "NotEq", "Lt", "LtE", "Gt", "GtE", "Is", "IsNot", "In", "NotIn", "Subscript", "Slice",
)  # fmt: skip
_FUNCTIONS = ("len", "sum", "min", "max", "sorted", "any", "all", "abs", "bool", "int", "float", "str", "repr", "round")


def find_subject(core: Any, stacks: Stacks, thread: int, at: int, text: str) -> Subject:
    """What `text` means in the scope of a thread's frame; LookupError with the reason if that cannot be watched."""
    text = text.strip()
    tree: Any = compile(text, "<expression>", "eval", 0x400)  # ast.PyCF_ONLY_AST
    if is_path(tree.body):
        code = stacks[thread][at].f_code
        place = find_place(core, stacks, thread, at, text)
        return "place", place, bool(code.co_flags & _PAUSES), place[0] == "local" and place[1] in arguments_of(code)
    spans: list[tuple[int, int]] = []
    find_paths(tree.body, spans, stacks[thread][at])
    places: list[Any] = []
    source, rest, end = text.encode(), b"", 0
    for start, stop in sorted(spans):
        rest += source[end:start] + b"_" + str(len(places)).encode()
        places.append(find_place(core, stacks, thread, at, source[start:stop].decode()))
        end = stop
    if not places:
        raise LookupError("nothing in it can change")
    subject = "expression", (rest + source[end:]).decode(), places
    failure = evaluated(core, stacks, subject)[1]
    if failure:
        raise LookupError(failure)
    return subject


def is_path(node: Any) -> bool:
    """Whether it is made of a name, attributes and constant items only."""
    kind = type(node).__name__
    if kind == "Attribute":
        return is_path(node.value)
    if kind == "Subscript":
        inner = node.slice.operand if type(node.slice).__name__ == "UnaryOp" else node.slice
        return type(inner).__name__ == "Constant" and is_path(node.value)
    return kind == "Name"


def find_paths(node: Any, spans: list[tuple[int, int]], frame: Any) -> None:
    """Where in the text the paths are. Raises LookupError at what cannot be followed."""
    kind = type(node).__name__
    if is_path(node):
        spans.append((node.col_offset, node.end_col_offset))
        return
    if kind == "Call":
        name = getattr(node.func, "id", None)
        hidden = name in frame.f_globals or name in dict(frame.f_locals)
        if name not in _FUNCTIONS or node.keywords or hidden:
            raise LookupError("what a call does hangs on more than can be watched, but for " + ", ".join(_FUNCTIONS))
        for argument in node.args:
            find_paths(argument, spans, frame)
        return
    if kind not in _FOLLOWED:
        raise LookupError("only names, attributes, items, operators and calls of a few builtins can be watched")
    for field in node._fields:
        value = getattr(node, field)
        for child in value if type(value) is list else [value]:
            if hasattr(child, "_fields"):
                find_paths(child, spans, frame)


def subject_state(core: Any, stacks: Stacks, subject: Subject) -> WatchState:
    """(identity of the value, digest of its items, its text, ranges of memory that say whether it changes).

    A place that has no value now, but may have one, gives an identity of 0. LookupError where it is gone for good.
    """
    if subject[0] == "place":
        return place_state(core, stacks, subject[1])
    text, failure, ranges = evaluated(core, stacks, subject)
    shown = failure or text
    return 1, hash(shown), clip(shown, _MOST_SHOWN), ranges


def evaluated(core: Any, stacks: Stacks, subject: Subject) -> tuple[str, str, list[tuple[int, int]]]:
    """(repr of the expression's value, what it raised or nothing, ranges of memory) of an expression."""
    values: dict[str, Any] = {}
    ranges: list[tuple[int, int]] = []
    for number, place in enumerate(subject[2]):
        slot = slot_of(core, stacks, place)
        value = core.watch_load(slot)
        ranges += [(slot, 8), *anchors(core, place)]
        add_ranges(core, value, ranges, _DEEPEST)
        values["_" + str(number)] = value
    try:
        return repr(eval(subject[1], {"__builtins__": __builtins__}, values)), "", ranges
    except Exception as error:
        return "", type_name(type(error)) + ": " + str(error), ranges


def place_state(core: Any, stacks: Stacks, place: Any) -> WatchState:
    try:
        value, items, text, ranges = state_of(core, stacks, place)
        return value, items, text, ranges + anchors(core, place)
    except LookupError:
        kind, key, where, what, _ = place[:5]
        if kind not in ("attribute", "item"):
            raise
        owner = core.watch_object(where, what)
        slot = core.watch_attribute(owner, key) if kind == "attribute" else 0
        ranges = [(slot, 8)] if slot else core.watch_contents(owner)
        if not ranges:
            raise
        return 0, 0, "", ranges + anchors(core, place)


def anchors(core: Any, place: Any) -> list[tuple[int, int]]:
    """The memory that says that a slot has moved: its old place may keep its content for long.

    Where an instance has no dictionary yet, this looker makes one that the program has not: then some memory of
    nobody's is watched in vain.
    """
    kind, _, where, what, _ = place[:5]
    if kind not in ("attribute", "item"):
        return []
    owner = core.watch_object(where, what)
    own = type(owner)
    if issubclass(own, list):
        return [(address + 8, 8) for address, _ in core.watch_contents(owner)[:1]]  # where its items are
    found = []
    space = owner
    if kind == "attribute":
        if own.__flags__ & _MANAGED_DICT:
            found.append((where - 32, 16))  # its dictionary or its values
        if issubclass(own, type):
            space = __import__("gc").get_referents(_space_of(owner))[0]
        else:
            space = own_dictionary(owner, own)
    return found + (core.watch_contents(space)[1:2] if issubclass(type(space), dict) else [])


def own_dictionary(owner: Any, own: type) -> Any:
    for base in _mro_of(own):
        place = _space_of(base).get("__dict__")
        if type(place) in (_GetSet, _Member):
            return place.__get__(owner)
    return None


def add_ranges(core: Any, value: Any, ranges: list[tuple[int, int]], depth: int) -> None:
    """Adds the memory of everything in a plain value."""
    kind = type(value)
    if kind in _PLAIN_KINDS or kind is range:
        return
    if kind not in _NESTS or depth == 0:
        raise LookupError("it hangs on an object of " + type_name(kind) + "; watch an attribute of that")
    ranges += core.watch_contents(value)
    for item in [*value.keys(), *value.values()] if kind is dict else value:
        add_ranges(core, item, ranges, depth - 1)
