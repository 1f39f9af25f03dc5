"""Numbers given to the client for things of the current moment.

The timeline's own numbers start again after every motion. A client that asks late would get another frame's
variables; with numbers that are never used twice it gets a refusal instead.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from retroscope.dap_adapter.failure import RequestFailed

Thing = TypeVar("Thing", bound=Hashable)


class Handles(Generic[Thing]):
    """Handle 0 is never given: the protocol uses it for "nothing"."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._next = 1
        self._things: dict[int, Thing] = {}
        self._numbers: dict[Thing, int] = {}

    def number(self, thing: Thing) -> int:
        """The same number for equal things until `forget`."""
        number = self._numbers.get(thing)
        if number is None:
            number = self._numbers[thing] = self._next
            self._things[number] = thing
            self._next += 1
        return number

    def __getitem__(self, number: int) -> Thing:
        try:
            return self._things[number]
        except KeyError:
            raise RequestFailed(f"{self._what} {number} belongs to a moment that was left") from None

    def forget(self) -> None:
        self._things.clear()
        self._numbers.clear()
