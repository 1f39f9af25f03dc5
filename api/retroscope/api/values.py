"""A value of one moment, as text and as what is inside it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from retroscope.replay.looking import LookFailed
from retroscope.replay.moments import ReplayError
from retroscope.replay.moments import Value as Shown

if TYPE_CHECKING:
    from retroscope.api.player import Place, Player

_PAGE = 1000
"""So many children are asked for at once."""
LITERAL = {"NoneType", "bool", "int", "float", "complex", "str", "bytes", "tuple", "list", "dict", "set", "frozenset"}


class Value:
    """A value as it was at its moment, and for good: using it moves the timeline there again when that is needed.

    `text` is a rendering of at most a few hundred characters that runs none of the program's code, except that of
    `evaluate`, which is the object's own repr; `type` is the name of its type, `name` what it is called where it was
    found. Nothing here is the object itself: that lived in the recorded program.
    """

    def __init__(self, player: Player, place: Place, find: Callable[[], Shown]) -> None:
        self._player = player
        self._place = place
        self._find = find
        self._shown = find()
        self._epoch = player.epoch

    @property
    def name(self) -> str:
        return self._shown.name

    @property
    def text(self) -> str:
        return self._shown.text

    @property
    def type(self) -> str:
        return self._shown.kind

    def __repr__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        """Whether both look the same: the same type and the same text."""
        return isinstance(other, Value) and (self.type, self.text) == (other.type, other.text)

    def __hash__(self) -> int:
        return hash((self.type, self.text))

    def __len__(self) -> int:
        """How many children it has: attributes and items."""
        return self._shown.named + self._shown.indexed

    def __bool__(self) -> bool:
        """Always true: it is there. For the truth of the recorded object use `evaluate("bool(…)")`."""
        return True

    def __iter__(self) -> Iterator[Value]:
        """Its attributes and items, in the order in which it has them."""
        start = 0
        while True:
            page = self.children(start, _PAGE)
            yield from page
            if len(page) < _PAGE:
                return
            start += _PAGE

    def __getitem__(self, key: object) -> Value:
        """The attribute of this name, or the item of this key or index. Runs no code; KeyError if there is none."""
        wanted = (key, f"[{key!r}]") if isinstance(key, str) else (f"[{key!r}]",)
        for child in self:
            if child.name in wanted:
                return child
        raise KeyError(key)

    def children(self, start: int = 0, count: int | None = None) -> list[Value]:
        """At most `count` of its attributes and items from number `start` on."""
        rows = self._rows(start, count)
        return [Value(self._player, self._place, _child(self, start + at, row)) for at, row in enumerate(rows)]

    def python(self) -> Any:
        """The value itself, if it consists of None, numbers, text, bytes, tuples, lists, dicts and sets.

        ReplayError if it is anything else, or longer than 65,536 characters.
        """
        if self.type in LITERAL:
            try:
                return ast.literal_eval(self.text)
            except (ValueError, SyntaxError):
                pass  # shown in part only
            expression = self._shown.expression
            whole = self._player.at(self._place).evaluate(expression) if expression else self._shown
            try:
                return ast.literal_eval(whole.text)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                pass
        raise ReplayError(f"{self.name or 'this value'} is no plain value that can be had whole; it is {self.text}")

    def _rows(self, start: int, count: int | None) -> list[Shown]:
        """What it holds, asked for at its moment."""
        timeline = self._player.at(self._place)
        if self._epoch == self._player.epoch:
            try:
                return timeline.expand(self._shown.reference, start, count) if self._shown.reference else []
            except LookFailed:
                pass  # the process that knew was let go: asked again below
        self._shown, self._epoch = self._find(), self._player.epoch
        return timeline.expand(self._shown.reference, start, count) if self._shown.reference else []


def _child(parent: Value, number: int, first: Shown) -> Callable[[], Shown]:
    """Finds child `number` again later; the first time it is known."""
    known = [first]

    def find() -> Shown:
        return known.pop() if known else parent._rows(number, 1)[0]

    return find
