"""The databases of the index, which is derived from the rest of a trace. Bit by bit: docs/trace-format.md.

Whoever changes the meaning of bytes here raises INDEX_VERSION; an index of another version is not read but built anew.
"""

from __future__ import annotations

import struct
import zlib

INDEX_VERSION = 2

INDEX_META = b"index/meta"
INDEX_BLOCKS = b"index/blocks"
INDEX_KEYS = b"index/keys"
INDEX_DATABASES = (INDEX_META, INDEX_BLOCKS, INDEX_KEYS)

TICK_KEY = struct.Struct(">IQ")  # process, first tick of the block, or of the first block of a row of keys
BLOCK = struct.Struct("<BI")  # encoding, raw bytes
KEYS = struct.Struct("<BII")  # encoding, raw bytes, number of blocks
KEYS_ENTRY = struct.Struct("<QIQII")  # first tick, ticks, first tick of its segment, CRC of its body, u32 keys after it

ROWS = "rows"  # in the facts: the sum of `row_sum` over all rows of keys

MOST_BLOCK = 1 << 24  # raw bytes of a block; what states more is damaged
MOST_KEYS = 1 << 26  # raw bytes of a row of keys
MOST_TICKS = 1 << 20  # ticks of a block


def row_sum(key: bytes, body: bytes) -> int:
    """What ties a row of keys to the facts: each of the tables may be whole and yet be an older state of itself."""
    return zlib.crc32(body, zlib.crc32(key))
