"""The databases of the index, which is derived from the rest of a trace. Bit by bit: docs/trace-format.md.

Whoever changes the meaning of bytes here raises INDEX_VERSION; an index of another version is not read but built anew.
"""

from __future__ import annotations

import struct

INDEX_VERSION = 1

INDEX_META = b"index/meta"
INDEX_BLOCKS = b"index/blocks"
INDEX_KEYS = b"index/keys"
INDEX_DATABASES = (INDEX_META, INDEX_BLOCKS, INDEX_KEYS)

TICK_KEY = struct.Struct(">IQ")  # process, first tick of the block, or of the first block of a row of keys
BLOCK = struct.Struct("<BI")  # encoding, raw bytes
KEYS = struct.Struct("<BII")  # encoding, raw bytes, number of blocks
KEYS_ENTRY = struct.Struct("<QIQI")  # first tick, ticks, first tick of its segment, number of u32 keys that follow

MOST_BLOCK = 1 << 24  # raw bytes of a block; what states more is damaged
MOST_KEYS = 1 << 26  # raw bytes of a row of keys
MOST_TICKS = 1 << 20  # ticks of a block
