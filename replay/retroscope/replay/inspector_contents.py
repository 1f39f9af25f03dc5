"""What is in deques, mapping proxies and the tables of pandas; loaded hidden, as `inspector.py` is.

Deques and proxies are asked by their C types, whose methods no program can replace. Tables are asked by pandas' own
code, and only those of its own classes: one that is derived from them may bring code of the program's.
"""

import builtins
import itertools
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    Item = tuple[str, Any, str | None]
else:  # nothing may be imported here that the program would find imported
    Any = Callable = Iterable = Iterator = Item = list

if "_core" not in globals():  # where it is not given, nothing can be read
    _core: Any = None
if "first_numbers" not in globals():  # a replay process runs all files in one namespace, inspector_arrays.py first
    from retroscope.replay.inspector_arrays import MOST_NUMBERS

__builtins__: Any = dict(vars(builtins))  # type: ignore[no-redef,unused-ignore]

_skip_items = itertools.islice
_contents_space_of = type.__dict__["__dict__"].__get__
_contents_bases_of = type.__dict__["__mro__"].__get__
_contents_module_of = type.__dict__["__module__"].__get__
_contents_name_of = type.__dict__["__name__"].__get__
_Proxy: Any = type(type.__dict__)
_SlotOfC: Any = type(object.__init__)
_AFTER_HEAD = object.__basicsize__
_AT_ONCE_OF_TABLE = 256
_TABLES = ("DataFrame", "Series", "Index", "RangeIndex", "MultiIndex", "DatetimeIndex", "CategoricalIndex")


class Contents:
    """`sample`: the first items, for a text; `facts`: what stands behind them. `items(first)` gives (name, item, what
    to put behind an expression of the whole for this item, or None) from number `first` on; there are `size`. `whole`:
    its attributes are of no interest beside that."""

    def __init__(
        self,
        sample: list[Any],
        size: int,
        facts: list[tuple[str, Any]],
        items: "Callable[[int], Iterable[Item]]",
        whole: bool = False,
    ) -> None:
        self.whole = whole
        self.sample = sample
        self.size = size
        self.facts = facts
        self.items = items


def contents_of(value: Any, kind: type) -> Contents | None:
    """None for what is of none of these kinds, or cannot be asked."""
    if kind is _Proxy:
        mapping = proxied(value)
        return None if mapping is None else _of_mapping(mapping)
    deque = _deque_of(kind)
    if deque is not None:
        return _of_deque(value, deque)
    if _is_table(kind):
        try:
            return _of_table(value, _contents_name_of(kind))
        except Exception:
            return None  # another pandas than those that are known: its attributes are shown
    return None


# -- mapping proxies


def proxied(proxy: Any) -> Any:
    """The dict behind a mapping proxy; None where it is another mapping, or cannot be read."""
    if _core is None:
        return None
    mapping = _core.watch_load(id(proxy) + _AFTER_HEAD)
    return mapping if type(mapping) is dict else None


def _of_mapping(mapping: Any) -> Contents:
    def items(first: int) -> Iterator[Item]:
        for key, item in _skip_items(dict.items(mapping), first, None):
            simple = type(key) in (str, int, bool, float, bytes, type(None))
            suffix = "[" + repr(key) + "]" if simple else None
            yield suffix or "[<key " + _contents_name_of(type(key)) + ">]", item, suffix

    return Contents([], dict.__len__(mapping), [], items)


# -- deques


def _deque_of(kind: type) -> type | None:
    """collections.deque itself, if `kind` is that or derived from it."""
    for base in _contents_bases_of(kind):
        if _contents_module_of(base) == "collections" and _contents_name_of(base) == "deque":
            length = _contents_space_of(base).get("__len__")
            return base if type(length) is _SlotOfC and length.__objclass__ is base else None
    return None


def _of_deque(value: Any, deque: Any) -> Contents:
    def items(first: int) -> Iterator[Item]:
        for number, item in enumerate(_skip_items(deque.__iter__(value), first, None), first):
            place = "[" + str(number) + "]"
            yield place, item, place

    longest = _contents_space_of(deque)["maxlen"].__get__(value)
    sample = list(_skip_items(deque.__iter__(value), MOST_NUMBERS))
    return Contents(sample, deque.__len__(value), [("maxlen", longest)] if longest is not None else [], items)


# -- tables of pandas


def _is_table(kind: type) -> bool:
    name = _contents_name_of(kind)
    if name not in _TABLES or not str(_contents_module_of(kind)).startswith("pandas"):
        return False
    pandas = sys.modules.get("pandas")
    return type(pandas) is type(sys) and vars(pandas).get(name) is kind


def _of_table(value: Any, name: str) -> Contents:
    if name == "DataFrame":
        rows, size = value.shape
        labels = value.columns
        facts = [("shape", (rows, size)), ("columns", labels), ("index", value.index)]

        def columns(first: int) -> Iterator[Item]:
            for number in range(first, size):
                place = ".iloc[:, " + str(number) + "]"
                yield "[" + _label(labels[number]) + "]", value.iloc[:, number], place

        return Contents([str(label) for label in labels[:MOST_NUMBERS]], size, facts, columns, whole=True)
    size = len(value)
    facts = [("name", value.name)] if name != "MultiIndex" else [("names", list(value.names))]
    facts.insert(0, ("dtype", str(value.dtype)))
    index = None
    if name == "Series":
        index = value.index
        facts.append(("index", index))

    def cells(first: int) -> Iterator[Item]:
        for start in range(first, size, _AT_ONCE_OF_TABLE):
            some = value[start : start + _AT_ONCE_OF_TABLE] if index is None else value.iloc[start:][:_AT_ONCE_OF_TABLE]
            for number, item in enumerate(some.tolist(), start):
                label = str(number) if index is None else _label(index[number])
                place = ("[" if index is None else ".iloc[") + str(number) + "]"
                yield "[" + label + "]", item, place

    return Contents([item for _, item, _ in _skip_items(cells(0), MOST_NUMBERS)], size, facts, cells, whole=True)


def _label(label: Any) -> str:
    return repr(label) if type(label) in (str, int, float, bool) else str(label)
