"""How values are shown without running a line of the program's code; loaded hidden, as `inspector.py` is.

A row is (name, text, type name, reference, named, indexed, expression): what front ends need for one variable. Only
methods of built-in types are called, and those on the types themselves, because a program may override them.
"""

import builtins
import itertools
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator
    from typing import Any

    Child = tuple[str, Any, str | None]
    Row = tuple[str, str, str, int, int, int, str | None]
else:  # nothing may be imported here that the program would find imported
    Any = AsyncIterator = Callable = Iterable = Iterator = Child = Row = list

if "array_rows" not in globals():  # a replay process runs all files in one namespace, inspector_arrays.py first
    from retroscope.replay.inspector_arrays import (
        array_facts,
        array_items,
        array_length,
        array_rows,
        first_numbers,
        is_array,
        is_numpy_number,
    )
if "contents_of" not in globals():
    from retroscope.replay.inspector_contents import Contents, contents_of, proxied

__builtins__: Any = dict(vars(builtins))  # type: ignore[no-redef,unused-ignore]

MOST_TEXT = 160
MOST_ITEMS = 12
MOST_DEPTH = 3
PAGED_FROM = 100
"""Dictionaries with more entries than this are paged by number, as lists are."""

_chain = itertools.chain
_islice = itertools.islice
_type_dict = type.__dict__["__dict__"].__get__
_type_mro = type.__dict__["__mro__"].__get__
_type_name = type.__dict__["__qualname__"].__get__
_type_module = type.__dict__["__module__"].__get__
_args_of = BaseException.__dict__["args"].__get__


def _generator() -> Iterator[None]:
    yield


async def _coroutine() -> None:
    pass


async def _async_generator() -> AsyncIterator[None]:
    yield


def _closure(value: Any) -> Any:
    return lambda: value


class _Slotted:
    __slots__ = ("member",)

    def method(self) -> None:
        pass


def _with_frame(value: Any, name: str) -> tuple[type, str]:
    """The type of a suspended function, and where such a one keeps its frame."""
    value.close() if name != "ag_frame" else None
    return type(value), name


_Function = type(_generator)
_Builtin = type(len)
_BoundMethod = type(_Slotted().method)
_Module = type(sys)
_Member = type(_Slotted.__dict__["member"])
_GetSet = type(_Function.__dict__["__code__"])
_Cell = type(_closure(0).__closure__[0])
_cell_contents = _Cell.__dict__["cell_contents"].__get__
_views: Any = (type({}.keys()), type({}.values()), type({}.items()), type(type.__dict__))
_suspended = dict(
    [
        _with_frame(_generator(), "gi_frame"),
        _with_frame(_coroutine(), "cr_frame"),
        _with_frame(_async_generator(), "ag_frame"),
    ]
)


# -- names and attributes, without running anything of the program's


def type_name(kind: type) -> str:
    """module.Qualified for the program's types, the bare name for builtins."""
    module = _type_module(kind)
    name: str = _type_name(kind)
    return name if type(module) is not str or module == "builtins" else module + "." + name


def attributes(value: Any) -> list[tuple[str, Any]]:
    """The instance's own (name, value) pairs: its dict, then its slots."""
    rows: list[tuple[str, Any]] = []
    bases = _type_mro(type(value))
    for base in bases:
        place = _type_dict(base).get("__dict__")
        if type(place) in (_GetSet, _Member) and base is not type:
            own = place.__get__(value)
            if own is not None:
                rows.extend((key if type(key) is str else repr(key), item) for key, item in dict.items(own))
            break
    for base in bases:
        if "__slots__" in _type_dict(base):
            rows.extend(_filled_slots(value, base))
    return rows


def _filled_slots(value: Any, base: type) -> Iterator[tuple[str, Any]]:
    for name, member in _type_dict(base).items():
        if type(member) is _Member:
            try:
                yield name, member.__get__(value)
            except AttributeError:
                continue  # never filled


# -- rendering


def clip(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def render(value: Any, most: int = MOST_TEXT, depth: int = MOST_DEPTH, seen: tuple[int, ...] = ()) -> str:
    """At most `most` characters that show `value`, in Python's notation where it is data."""
    return clip(_render(value, most, depth, seen), most)


def _render(value: Any, most: int, depth: int, seen: tuple[int, ...]) -> str:
    kind = type(value)
    if value is None or value is True or value is False or value is Ellipsis or value is NotImplemented:
        return repr(value)
    if issubclass(kind, str):
        return repr(str.__getitem__(value, slice(most)))
    if issubclass(kind, bytes):
        return repr(bytes.__getitem__(value, slice(most)))
    if issubclass(kind, bytearray):
        return repr(bytearray.__getitem__(value, slice(most)))
    if issubclass(kind, (int, float, complex)):
        return _number(value, kind)
    if id(value) in seen or depth == 0:
        return "…"
    container = _container(value, kind, most, depth, (*seen, id(value)))
    return _object(value, kind, most, depth, (*seen, id(value))) if container is None else container


def _number(value: Any, kind: type) -> str:
    for base in (int, float, complex):
        if issubclass(kind, base):
            text = _digits(value) if base is int else base.__repr__(value)
            return text if kind is base else "<" + _enumerated(value, kind) + ": " + text + ">"
    return "<" + type_name(kind) + ">"


def _digits(value: Any) -> str:
    """An int's digits, as long as that is quick."""
    bits = int.bit_length(value)
    return int.__repr__(value) if bits < 4096 else "<int of " + str(bits) + " bits>"


def _enumerated(value: Any, kind: type) -> str:
    """The name of a member of an Enum, else that of the type."""
    member = dict(attributes(value)).get("_name_")
    return type_name(kind) + ("." + member if type(member) is str else "")


def _joined(
    opening: str, items: Iterable[Any], size: int, closing: str, most: int, depth: int, seen: tuple[int, ...]
) -> str:
    return opening + _listed((_render(item, most, depth - 1, seen) for item in items), size, most) + closing


def _pairs(items: Iterable[Any], size: int, most: int, depth: int, seen: tuple[int, ...]) -> str:
    shown = (
        _render(key, most, depth - 1, seen) + ": " + _render(item, most, depth - 1, seen) for key, item in items
    )
    return "{" + _listed(shown, size, most) + "}"


def _listed(shown: Iterable[str], size: int, most: int) -> str:
    """The first of `size` items, in about `most` characters."""
    parts = []
    room = most
    for part in _islice(shown, MOST_ITEMS):
        parts.append(part)
        room -= len(part) + 2
        if room <= 0:
            break
    if len(parts) < size:
        parts.append("…")
    return ", ".join(parts)


def field_names(kind: type) -> list[str] | None:
    """The names of a namedtuple's fields, None for another type."""
    for base in _type_mro(kind):
        fields = _type_dict(base).get("_fields")
        if type(fields) is tuple:
            return [name for name in fields if type(name) is str]
    return None


def _container(value: Any, kind: type, most: int, depth: int, seen: tuple[int, ...]) -> str | None:
    """Lists, tuples, dicts and sets, also when the program derived its own from them; None for anything else."""
    text = None
    base: type = kind
    if issubclass(kind, list):
        text = _joined("[", list.__iter__(value), list.__len__(value), "]", most, depth, seen)
        base = list
    elif issubclass(kind, tuple) and (fields := field_names(kind)) is not None:
        parts = zip(fields, tuple.__iter__(value))
        shown = [name + "=" + _render(item, most, depth - 1, seen) for name, item in parts]
        return type_name(kind) + "(" + ", ".join(shown) + ")"
    elif issubclass(kind, tuple):
        size = tuple.__len__(value)
        text = _joined("(", tuple.__iter__(value), size, ",)" if size == 1 else ")", most, depth, seen)
        base = tuple
    elif issubclass(kind, dict):
        text = _pairs(dict.items(value), dict.__len__(value), most, depth, seen)
        base = dict
    elif issubclass(kind, (set, frozenset)):
        items: Any = set if issubclass(kind, set) else frozenset
        base, size = items, items.__len__(value)
        text = _joined("{", items.__iter__(value), size, "}", most, depth, seen) if size else "set()"
        if items is frozenset:
            text = "frozenset(" + (text if size else "") + ")"
    elif kind is _views[3] and proxied(value) is not None:
        mapping = proxied(value)
        return type_name(kind) + "(" + _pairs(dict.items(mapping), dict.__len__(mapping), most, depth, seen) + ")"
    elif kind in _views:
        return "<" + type_name(kind) + " of " + str(len(value)) + ">"
    elif kind is range:
        return repr(value)
    if text is None or kind is base:
        return text
    return type_name(kind) + "(" + text + ")"


_PLAIN = {
    "datetime.date", "datetime.timedelta", "decimal.Decimal", "fractions.Fraction", "uuid.UUID", "pathlib.PosixPath",
    "pathlib._local.PosixPath", "pathlib.PurePosixPath", "re.Pattern", "re.Match",
}  # fmt: skip
"""Types of the standard library whose repr is short and runs nothing of the program's."""


def _object(value: Any, kind: type, most: int, depth: int, seen: tuple[int, ...]) -> str:
    name = type_name(kind)
    if issubclass(kind, type):
        return "<class '" + type_name(value) + "'>"
    if kind is _Function:
        return f"<function {value.__qualname__}>"
    if kind is _BoundMethod:
        function = value.__func__
        return f"<method {function.__qualname__ if type(function) is _Function else type_name(type(function))}>"
    if kind is _Builtin:
        return f"<builtin {value.__name__}>"
    if kind is _Module:
        return "<module " + str(dict(attributes(value)).get("__name__")) + ">"
    if kind in _suspended:
        return f"<{name} {value.__qualname__}>"
    if issubclass(kind, BaseException):
        arguments = _args_of(value)
        return name + _joined("(", iter(arguments), len(arguments), ")", most, depth, seen)
    if name in _PLAIN and _is_from_its_module(kind, name):
        return repr(value)
    if is_array(kind):
        numbers = first_numbers(value)
        items = _joined("[", iter(numbers), value.size, "]", most, depth, seen)
        return "array(" + items + ", " + array_facts(value) + ")"
    contents = contents_of(value, kind)
    if contents is not None:
        short = "pandas." + name.rpartition(".")[2]  # older releases say in which of their files it is
        return _table(short if contents.whole else name, contents, most, depth, seen)
    if is_numpy_number(kind):
        return name + "(" + _render(value.item(), most, depth - 1, seen) + ")"
    own = dict(attributes(value))
    if type(own.get("_name_")) is str and "_value_" in own:
        return "<" + _enumerated(value, kind) + ": " + _render(own["_value_"], most, depth - 1, seen) + ">"
    fields = _dataclass_fields(kind)
    if fields and depth > 0:
        rows = [(field, own[field]) for field in fields if field in own]
        shown = [field + "=" + _render(item, most, depth - 1, seen) for field, item in rows]
        return name + "(" + ", ".join(shown) + ")"
    return "<" + name + " object>"


def _table(name: str, contents: Contents, most: int, depth: int, seen: tuple[int, ...]) -> str:
    """The first items, and plain facts about them."""
    items = _joined("[", iter(contents.sample), contents.size, "]", most, depth, seen)
    plain = [(fact, said) for fact, said in contents.facts if type(said) in (str, int, tuple, list)]
    facts = [fact + "=" + _render(said, most, depth - 1, seen) for fact, said in plain]
    return name + "(" + ", ".join([items, *facts]) + ")"


def _dataclass_fields(kind: type) -> list[str]:
    """The names of a dataclass's fields, none for another type."""
    for base in _type_mro(kind):
        fields = _type_dict(base).get("__dataclass_fields__")
        if type(fields) is dict:
            return [name for name in fields if type(name) is str]
    return []


def _is_from_its_module(kind: type, name: str) -> bool:
    module, _, short = name.rpartition(".")
    found = sys.modules.get(module)
    return type(found) is _Module and dict(attributes(found)).get(short) is kind


# -- expanding


class Shelf:
    """Things with children that front ends hold numbers of. A thing is an object, or rows that are already made."""

    def __init__(self) -> None:
        self.things: list[Any] = [None]

    def put(self, value: Any, expression: str | None) -> int:
        self.things.append((value, expression))
        return len(self.things) - 1

    def row(self, name: str, value: Any, expression: str | None) -> Row:
        named, indexed = sizes(value)
        reference = self.put(value, expression) if named or indexed else 0
        return (name, render(value), type_name(type(value)), reference, named, indexed, expression)

    def children(self, reference: int, start: int, count: int | None) -> list[Row]:
        """Rows `start` to `start + count` of all children, in one numbering."""
        value, expression = self.things[reference]
        return [self.row(*child) for child in _islice(children(value, expression, start), count)]


class Rows:
    """A scope: names with values of its own, not an object of the program's."""

    def __init__(self, rows: list[Child]) -> None:
        self.rows = rows


def sizes(value: Any) -> tuple[int, int]:
    """(named, indexed) counts of children, without making them."""
    kind = type(value)
    if kind is Rows:
        return len(value.rows), 0
    if issubclass(kind, dict):
        size = dict.__len__(value)
        extra = len(attributes(value)) if kind is not dict else 0
        return (size + extra, 0) if size <= PAGED_FROM else (extra, size)
    for base in (list, tuple, set, frozenset):
        if issubclass(kind, base):
            return (len(attributes(value)) if kind is not base else 0), base.__len__(value)
    if issubclass(kind, (str, bytes, bytearray, int, float, complex)) and not attributes(value):
        return 0, 0
    if is_array(kind):
        return len(array_rows(value)), array_length(value)
    contents = contents_of(value, kind)
    if contents is not None:
        return len(_inner(value, kind)), contents.size
    return len(_inner(value, kind)), 0


def children(value: Any, expression: str | None, first: int) -> Iterator[Child]:
    """(name, value, expression or None) of every child from number `first` on; items come after attributes."""
    kind = type(value)
    if kind is Rows:
        return _islice(value.rows, first, None)
    dot = expression + "." if expression else None
    own = []
    if kind not in (dict, list, tuple, set, frozenset):
        own = [(name, item, dot + name if dot and name.isidentifier() else None) for name, item in _inner(value, kind)]
    return _chain(own[first:], _items(value, kind, expression, max(first - len(own), 0)))


def _items(value: Any, kind: type, expression: str | None, first: int) -> Iterator[Child]:
    """From item number `first` on: what is skipped is not rendered, for there may be millions."""
    if issubclass(kind, dict):
        for key, item in _islice(dict.items(value), first, None):
            simple = type(key) in (str, int, bool, float, bytes, type(None))
            yield "[" + render(key) + "]", item, f"{expression}[{key!r}]" if simple and expression else None
    if is_array(kind):
        for number, item in enumerate(array_items(value, first), first):
            place = "[" + str(number) + "]"
            yield place, item, expression + place if expression else None
    base: Any
    for base in (list, tuple):
        if issubclass(kind, base):
            fields = field_names(kind) if base is tuple else None
            for number, item in enumerate(_islice(base.__iter__(value), first, None), first):
                place = "[" + str(number) + "]"
                yield (
                    fields[number] if fields and number < len(fields) else place,
                    item,
                    expression + place if expression else None,
                )
    for base in (set, frozenset):
        if issubclass(kind, base):
            for number, item in enumerate(_islice(base.__iter__(value), first, None), first):
                yield "[" + str(number) + "]", item, None
    contents = contents_of(value, kind)
    for name, item, suffix in contents.items(first) if contents else ():
        yield name, item, expression + suffix if expression and suffix else None


def _inner(value: Any, kind: type) -> list[tuple[str, Any]]:
    """What can be shown below an object: its attributes, and what its own kind of object keeps elsewhere."""
    rows = attributes(value)
    if is_array(kind):
        return array_rows(value)
    contents = contents_of(value, kind)
    if contents is not None:
        return contents.facts if contents.whole else rows + contents.facts
    if kind is _Function:
        names = value.__code__.co_freevars
        cells = value.__closure__ or ()
        rows += [(name, _contents(cell)) for name, cell in zip(names, cells)]
        if value.__defaults__:
            rows.append(("__defaults__", value.__defaults__))
    elif kind is _BoundMethod:
        rows += [("__self__", value.__self__), ("__func__", value.__func__)]
    elif kind is _Cell:
        rows.append(("cell_contents", _contents(value)))
    elif kind in _suspended:
        frame = getattr(value, _suspended[kind])
        rows += dict(frame.f_locals).items() if frame is not None else ()
    elif issubclass(kind, type):
        rows = [(name, item) for name, item in _type_dict(value).items() if name not in ("__dict__", "__weakref__")]
    elif issubclass(kind, BaseException):
        rows.append(("args", _args_of(value)))
        for name in ("__cause__", "__context__"):
            linked = BaseException.__dict__[name].__get__(value)
            if linked is not None:
                rows.append((name, linked))
    return rows


def _contents(cell: Any) -> Any:
    try:
        return _cell_contents(cell)
    except ValueError:
        return Ellipsis
