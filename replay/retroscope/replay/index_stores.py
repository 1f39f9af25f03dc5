"""Stores out of the index: which line last gave a variable, an attribute or an item its value.

What code that the index does not see has stored (C code, setattr, the library unless it is noted in full) is not here:
who needs certainty compares values, or searches.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from retroscope.recorder import _core
from retroscope.replay.index import Index, NotIndexed
from retroscope.replay.index_facts import Key, Kind, Rendered
from retroscope.replay.index_frames import last_line, stack


@dataclass(frozen=True)
class Store:
    """A value was stored after tick `tick` by the line that began at tick `line_tick`; None: it was deleted."""

    tick: int
    line_tick: int
    frame: int
    value: Rendered | None
    passed: bool = False
    """Whether it is an argument, which the line of the caller has passed."""


def last_attribute(index: Index, address: int, name: str, before: int) -> Store | None:
    """The last store to an attribute of the object at `address` at a tick below `before`."""
    return _last(index, Kind.ATTR, address, name, before, lambda row: bool(row[3] == address and row[5] == name))


def last_item(index: Index, address: int, key: str, before: int) -> Store | None:
    """The same for an item of a container, `key` as Python writes it. NotIndexed where a store to another key may have
    been one to this item."""
    type_name = type(ast.literal_eval(key)).__name__

    def holds(row: tuple[Any, ...]) -> bool:
        if row[3] != address or _is_other(row[4], key, type_name, row[5] is None):
            return False
        if row[4] is None or row[4][2] != key:
            raise NotIndexed("a slice or a key was stored to that may mean this item as well")
        return True

    return _last(index, Kind.ITEM, address, None, before, holds)


_ALIKE = {"str": "str", "bytes": "bytes", "NoneType": "None", "tuple": "tuple",
          "int": "number", "bool": "number", "float": "number", "complex": "number"}  # fmt: skip
"""What may equal one another, of the types whose values are no key of another type's."""
_CUT = 1


def _is_other(stored: tuple[str, int, str, int] | None, key: str, type_name: str, deletes: bool) -> bool:
    """Whether a store to a key is surely none to the item of `key`, which is of a type of this name.

    In a list -1 may be 3, and a deletion moves what is behind it; a key of the program's own may equal any."""
    if stored is None or stored[2] == key:
        return False
    kinds = _ALIKE.get(stored[0]), _ALIKE.get(type_name)
    if None in kinds or kinds[0] != kinds[1]:
        return None not in kinds
    if kinds[0] != "number":
        return kinds[0] in ("str", "bytes") and not stored[3] & _CUT
    are_small = stored[0] == type_name == "int" and "x" not in stored[2]
    return are_small and not deletes and (stored[2][:1] == "-") == (key[:1] == "-")


def last_name(index: Index, address: int, name: str, before: int) -> Store | None:
    """The same for a name of the namespace whose dictionary is at `address`: globals, or the body of a class."""
    return _last(index, Kind.NAME, address, name, before, lambda row: bool(row[3] == address and row[4] == name))


def last_local(index: Index, frame: int, function: str, name: str, before: int) -> Store | None:
    """The last change of a variable of a frame of `function`; None if it is what the call passed."""
    hit = index.last_of(Kind.LOCAL, function, name, before, frame)
    while hit is not None:
        block = index.block(hit.block)
        codes = _core.block_codes(block)
        code_of = {row[2]: row[3] for row in _core.block_events(block, 0, (1 << 64) - 1, Kind.LINE)}
        for row in reversed(_core.block_events(block, hit.tick, hit.tick, Kind.LOCAL)):
            _, tick, named, slot, value, by = row
            code = code_of.get(named)
            if code is None or codes[code][3][slot] != name or index.frame_id(hit.block, named) != frame:
                continue
            return Store(tick, by, frame, None if value is None else Rendered.of(value))
        hit = index.last_of(Kind.LOCAL, function, name, hit.tick, frame)
    return None


def passed(index: Index, frame: int, name: str) -> Store | None:
    """The call that gave a variable of a frame its first value; None if it is no argument."""
    number = index.number_at(frame - 1)
    block = index.block(number)
    codes = _core.block_codes(block)
    rows = _core.block_events(block, frame - 1, frame - 1, Kind.ENTER | Kind.KEPT)
    code = next((row[3] for row in rows if row[0] == Kind.ENTER and row[2] == frame), None)
    caller = next((row[4] for row in rows if row[0] == Kind.ENTER and row[2] == frame), 0)
    if code is None or not caller:
        return None
    for row in rows:
        if row[0] == Kind.KEPT and row[2] == frame and codes[code][3][row[3]] == name and row[4] is not None:
            line_tick = last_line(index, index.frame_id(number, caller), frame - 1)
            return Store(frame - 1, line_tick, frame, Rendered.of(row[4]), passed=True)
    return None


def freed_since(index: Index, address: int, since: int, before: int) -> bool:
    """Whether an object at `address`, to which something was stored, was freed at a tick from `since` on."""
    return index.last_of(Kind.FREED, address, None, before, since) is not None


def last_store(index: Index, place: list[Any], tick: int) -> Store | None:
    """The last store to a place as `inspector_places.py` has it, before the line of `tick` runs."""
    kind, key, where = place[:3]
    at = index.number_at(tick)
    if kind == "attribute":
        return last_attribute(index, where, key, tick)
    if kind == "item":
        stores = [last_item(index, where, key, tick)]
        if key[:1] in "'\"":
            stores.append(last_name(index, where, key[1:-1], tick))
        return max((store for store in stores if store), key=lambda store: store.tick, default=None)
    if kind == "local":
        frames = stack(index, tick, place[4]) if place[4] else ()
        if not frames:
            raise NotIndexed("what a generator or coroutine stored that is on no stack is not told")
        frame = frames[len(frames) - where]
        if frame.generator and index.entries[index.number_at(frame.id)].segment != index.entries[at].segment:
            raise NotIndexed("what a generator stores where observers take over from each other is not told")
        store = last_local(index, frame.id, frame.function, key, tick)
        if store is None and frame.generator:
            raise NotIndexed("where a generator was made is not told, only where it began to run")
        return store or passed(index, frame.id, key)
    return None


def _last(
    index: Index, kind: Kind, first: Key, second: Key, before: int, holds: Callable[[tuple[Any, ...]], bool]
) -> Store | None:
    """The last fact of a key that `holds`."""
    hit = index.last_of(kind, first, second, before)
    while hit is not None:
        rows = [row for row in _core.block_events(index.block(hit.block), hit.tick, hit.tick, kind) if holds(row)]
        if rows:
            frame = index.frame_id(hit.block, rows[-1][2])
            value = rows[-1][-1]
            line_tick = last_line(index, frame, hit.tick)
            return Store(hit.tick, line_tick, frame, None if value is None else Rendered.of(value))
        hit = index.last_of(kind, first, second, hit.tick)
    return None
