"""The names, keys and packed structures of the trace file. Bit by bit: docs/trace-format.md.

Whoever changes anything here, in `stream.py` or in `encoding.py` that alters bytes in the file raises TRACE_VERSION;
`tests/trace/test_layout.py` compares all of them, and a stored trace, with what they were.
"""

from __future__ import annotations

import struct
import zlib

TRACE_VERSION = 3  # 2 had no further processes; 1 no references by path and no globals
OLDEST_READABLE = 1

FORMAT_MAGIC = b"RETROSCOPE"
FORMAT = struct.Struct("<10sH")  # magic, TRACE_VERSION; framed like every value, in all versions

META = b"meta"
PROCESSES = b"processes"
CALLABLES = b"callables"
SOURCES = b"sources"
CHUNKS = b"chunks"
SWITCHES = b"switches"
OUTPUT = b"output"
DATABASES = (META, PROCESSES, CALLABLES, SOURCES, CHUNKS, SWITCHES, OUTPUT)
INDEX_PREFIX = b"index/"  # databases derived from the others; may be deleted and rebuilt

KEY_FORMAT = b"format"
KEY_STATE = b"state"
KEY_RECORDING = b"recording"

PROCESS_KEY = struct.Struct(">I")  # process id within the trace, from 1
CALLABLE_KEY = struct.Struct(">IH")  # process, index that the records use
POSITION_KEY = struct.Struct(">IQ")  # process, then: chunks: offset in the stream; others: number of a record

CHECKSUM = struct.Struct("<I")
CHUNK = struct.Struct("<BIQI")  # encoding, raw bytes, first record that starts here, its offset here (or NO_RECORD)
BATCH = struct.Struct("<BI")  # encoding, number of entries
OUTPUT_ENTRY = struct.Struct("<QQII")  # record, offset of the output's bytes in the stream, descriptor, size
SWITCH_ENTRY = struct.Struct("<QQ")  # record, offset of the record in the stream

ENCODING_RAW = 0
ENCODING_ZSTD = 1
NO_RECORD = 0xFFFFFFFF

MOST_RAW = 1 << 24  # bytes of a chunk or batch before compression; what states more is damaged


def checksum(database: bytes, key: bytes, body: bytes) -> int:
    """CRC-32 over where a value belongs and what it is: a value found in a wrong place does not pass."""
    return zlib.crc32(body, zlib.crc32(database + b"\0" + key))


def frame(database: bytes, key: bytes, body: bytes) -> bytes:
    """The bytes stored for `body`."""
    return CHECKSUM.pack(checksum(database, key, body)) + body


def unframe(database: bytes, key: bytes, stored: bytes) -> bytes | None:
    """The body of a stored value, or None when the checksum does not fit."""
    if len(stored) < CHECKSUM.size:
        return None
    body = stored[CHECKSUM.size :]
    return body if CHECKSUM.unpack_from(stored)[0] == checksum(database, key, body) else None

