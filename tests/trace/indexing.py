"""Reads and writes the index of traces: run in a process of its own on damaged files, or to be killed.

    python indexing.py            file names on stdin, one a line; one answer a line: what was read, then what became
                                  of writing, as two words
    python indexing.py PATH       indexes PATH again and again until it is killed; a line after each whole index
"""

from __future__ import annotations

import random
import sys
from hashlib import blake2b

from retroscope.trace import TraceError
from retroscope.trace.index_reader import UnusableIndex, open_index
from retroscope.trace.index_writer import IndexWriter, NewBlock

TICKS = 1000
BLOCKS = 12


def new_block(number: int, segment: int = 1) -> NewBlock:
    """A made-up block with content and keys that hang on its number alone."""
    drawn = random.Random(number)
    data = drawn.randbytes(drawn.choice([0, 10, 3000, 30_000])) + b"tail" * 100
    keys = b"".join(key.to_bytes(4, "little") for key in sorted({number, 7, *drawn.sample(range(1 << 32), 40)}))
    return NewBlock(1 + number * TICKS, TICKS, segment, data, keys)


def write_index(path: str, process: int = 1, blocks: int = BLOCKS, step: int = 3) -> None:
    writer = IndexWriter(path)
    try:
        writer.forget(process)
        for start in range(0, blocks, step):
            rows = [new_block(number) for number in range(start, min(start + step, blocks))]
            writer.add(process, rows, {"complete": start + step >= blocks})
    finally:
        writer.close()


def digest(path: str, process: int = 1) -> str:
    """A digest of all that the index has; "none"."""
    index = open_index(path, process)
    if index is None:
        return "none"
    made = blake2b(digest_size=16)
    try:
        for number, entry in enumerate(index.entries):
            made.update(repr((entry.first, entry.last, entry.segment, bytes(entry.keys))).encode())
            made.update(index.block(number))
        made.update(repr(index.facts).encode())
    finally:
        index.close()
    return made.hexdigest()


def attempt(path: str) -> str:
    try:
        read = digest(path)
    except UnusableIndex:
        read = "unusable"
    except TraceError as error:
        read = type(error).__name__
    try:
        write_index(path)
        return f"{read} {digest(path)}"
    except TraceError as error:
        return f"{read} {type(error).__name__}"


def main() -> None:
    if len(sys.argv) > 1:
        while True:
            write_index(sys.argv[1], step=1)
            print("whole", flush=True)
    for line in sys.stdin:
        print(attempt(line.rstrip()), flush=True)


if __name__ == "__main__":
    main()
