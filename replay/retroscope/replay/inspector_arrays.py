"""Arrays and numbers of numpy: their C types are asked, whose methods no program can replace; loaded hidden.

Only numpy's own types are known here: a class that is derived from one may bring code of the program's.
"""

import builtins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any
else:  # nothing may be imported here that the program would find imported
    Any = Iterator = list

__builtins__: Any = dict(vars(builtins))  # type: ignore[no-redef,unused-ignore]

MOST_NUMBERS = 12
_AT_ONCE = 256  # of which a page far behind costs little, and a huge array no memory
_array_type_space = type.__dict__["__dict__"].__get__
_array_type_module = type.__dict__["__module__"].__get__
_array_type_name = type.__dict__["__name__"].__get__
_OfC = type(_array_type_space.__self__)


def is_array(kind: type) -> bool:
    """Whether this is numpy.ndarray itself."""
    own = _array_type_space(kind)
    return _array_type_module(kind) == "numpy" and "strides" in own and type(own.get("shape")) is _OfC


def is_numpy_number(kind: type) -> bool:
    """Whether this is one of numpy's own scalar types, of a number."""
    bases = type.__dict__["__mro__"].__get__(kind)
    names = [_array_type_name(base) for base in bases if _array_type_module(base) == "numpy"]
    return _array_type_module(kind) == "numpy" and "number" in names


def array_facts(array: Any) -> str:
    return "shape=" + repr(array.shape) + ", dtype=" + repr(array.dtype.str)


def first_numbers(array: Any) -> list[Any]:
    """The first items of an array of any shape, as Python has them."""
    found: list[Any] = array.flat[:MOST_NUMBERS].tolist()
    return found


def array_rows(array: Any) -> list[tuple[str, Any]]:
    """What there is to say of an array beside its items."""
    return [("shape", array.shape), ("dtype", array.dtype.str), ("size", array.size)]


def array_length(array: Any) -> int:
    return array.shape[0] if array.shape else 0


def array_items(array: Any, since: int) -> "Iterator[Any]":
    """The items of a line of numbers as Python has them, else the arrays that an array is made of; from `since` on."""
    for first in range(since, array_length(array), _AT_ONCE):
        some = array[first : first + _AT_ONCE]
        yield from some.tolist() if len(array.shape) == 1 else some
