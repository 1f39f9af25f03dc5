"""For the inspector's tests: `moment()` hands out a frame full of objects that shout when they are touched."""

# ruff: noqa: F841 - the locals are there to be looked at

from __future__ import annotations

import collections
import dataclasses
import decimal
import enum
import sys
from types import FrameType
from typing import Any

touched: list[str] = []


class Loud:
    """Every special method that looking could run by mistake leaves a mark."""

    def __init__(self) -> None:
        self.inside = 5

    def __getattribute__(self, name: str) -> Any:
        touched.append(f"__getattribute__ {name}")
        return object.__getattribute__(self, name)

    def __repr__(self) -> str:
        touched.append("__repr__")
        return "loud and clear"

    def __str__(self) -> str:
        touched.append("__str__")
        return "loud"

    def __len__(self) -> int:
        touched.append("__len__")
        return 3

    def __eq__(self, other: object) -> bool:
        touched.append("__eq__")
        return True

    def __hash__(self) -> int:
        touched.append("__hash__")
        return 1

    @property
    def __class__(self) -> Any:
        touched.append("__class__")
        return dict


class LoudMeta(type):
    def __getattribute__(cls, name: str) -> Any:
        touched.append(f"metaclass {name}")
        return type.__getattribute__(cls, name)


class Strange(metaclass=LoudMeta):
    pass


class LoudDict(dict[str, int]):
    def __iter__(self) -> Any:
        touched.append("dict.__iter__")
        return super().__iter__()

    def items(self) -> Any:
        touched.append("dict.items")
        return super().items()

    def __len__(self) -> int:
        touched.append("dict.__len__")
        return 77


class LoudStr(str):
    __slots__ = ()

    def __len__(self) -> int:
        touched.append("str.__len__")
        return 1

    def __repr__(self) -> str:
        touched.append("str.__repr__")
        return "?"


class Slots:
    __slots__ = ("filled", "never")

    def __init__(self) -> None:
        self.filled = 1


class Color(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    HIGH = 9


@dataclasses.dataclass
class Order:
    number: int
    lines: list[str]


Point = collections.namedtuple("Point", "x y")


def moment() -> FrameType:
    """The frame of a call, with everything as locals."""
    loud, strange, loud_dict, loud_str = Loud(), Strange(), LoudDict(a=1), LoudStr("quiet")
    slots, red, high, order, point = Slots(), Color.RED, Level.HIGH, Order(7, ["x"]), Point(1, 2)
    numbers, many, nested = list(range(1000)), {str(n): n for n in range(500)}, [[[[[1]]]]]
    cyclic: list[Any] = [1]
    cyclic.append(cyclic)
    error, money, text, huge = ValueError("bad", 3), decimal.Decimal("1.50"), "x" * 10_000, 1 << 50_000
    generator = (n for n in numbers)
    del touched[:]
    return sys._getframe()
