"""A test double of the core's blocks of observations: only lines and calls, written by a fake process."""

from __future__ import annotations

import marshal
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.replay.fake_process import Run

LINE, ENTER = 1, 2
TICKS = 7
"""Most ticks of a block."""

Row = tuple[str, int, str, bool]


def pack(run: Run, first: int, last: int) -> bytes:
    rows = [
        (line.path, line.line, line.function, run.enters(tick))
        for tick, line in enumerate(run.lines[first : last + 1], first)
    ]
    return marshal.dumps((first, rows))


def rows(block: bytes) -> Iterator[tuple[int, Row]]:
    first, found = marshal.loads(block)
    yield from enumerate(found, first)


def block_head(block: bytes) -> tuple[int, int, int]:
    first, found = marshal.loads(block)
    return first, len(found), 0


def block_key(kind: int, a: object, b: object) -> int:
    return zlib.crc32(repr((int(kind), a, b)).encode()) & 0xFF  # so few that they collide


def block_keys(block: bytes) -> bytes:
    keys = set()
    for _, (path, line, function, enters) in rows(block):
        keys.add(block_key(LINE, path, line))
        if enters:
            keys.add(block_key(ENTER, function, None))
    return b"".join(key.to_bytes(4, "little") for key in sorted(keys))


def block_hits(block: bytes, first: int, last: int, kind: int, a: object, b: object) -> list[int]:
    found = []
    for tick, (path, line, function, enters) in rows(block):
        is_hit = (path, line) == (a, b) if kind == LINE else enters and kind == ENTER and function == a
        if first <= tick <= last and is_hit:
            found.append(tick)
    return found


def block_codes(block: bytes) -> list[tuple[str, str, int, tuple[str, ...], int]]:
    return [(path, function, 1, (), 1) for _, (path, _, function, _) in rows(block)]


def block_events(block: bytes, first: int, last: int, kinds: int) -> list[tuple[object, ...]]:
    return [
        (LINE, tick, 1, number, row[1], 1)
        for number, (tick, row) in enumerate(rows(block))
        if first <= tick <= last and kinds & LINE
    ]
