"""The records of an input stream: headers, kinds, and cutting a stream into them (docs/architecture.md, Seam 2)."""

from __future__ import annotations

import struct

from retroscope.trace.layout import OUTPUT_ENTRY, SWITCH_ENTRY

HEADER = struct.Struct("<HBBII")  # callable, kind, flags, digest, bytes of payload
OUTPUT_PREFIX = struct.Struct("<II")  # descriptor, bytes; then the bytes
FLAG_OUTPUT = 1


class Kind:
    """Kinds of records; plain integers, as in `recorder/native-core/encode.h`."""

    RESULT = 0
    RAISED = 1
    DEFINE = 2
    GC = 3
    CALLBACK = 4
    CALLED_BACK = 5
    START = 6
    SWITCH = 7
    SIGNAL = 8
    END = 9
    SOURCE = 10
    NOTE = 11
    CLOCK = 12
    ADDRESS = 13
    FORK = 14
    MEMORY = 15


KIND_NAMES = {number: name.lower().replace("_", "-") for name, number in vars(Kind).items() if name.isupper()}
CAPTURED = frozenset((Kind.DEFINE, Kind.SOURCE, Kind.NOTE))
MOST_CAPTURED = 1 << 26  # bytes: a larger payload is passed over


def encode_record(
    kind: int, payload: bytes = b"", *, callable: int = 0, digest: int = 0, output: tuple[int, bytes] | None = None
) -> bytes:
    """One record; `output` is (descriptor, bytes) of what the program wrote in this call."""
    flags = 0
    if output is not None:
        flags = FLAG_OUTPUT
        payload = OUTPUT_PREFIX.pack(output[0], len(output[1])) + output[1] + payload
    return HEADER.pack(callable, kind, flags, digest, len(payload)) + payload


class RecordScanner:
    """Finds, in a stream that comes in arbitrary pieces, the records that the trace keeps lists of.

    The twin in C, `retroscope.recorder._core.RecordScanner`, does the same for the drain; tests compare them.
    """

    def __init__(self) -> None:
        self.records = 0  # complete ones
        self.complete = 0  # offset in the stream of the end of the last complete record
        self._rest = b""  # bytes after that

    def feed(self, data: bytes) -> tuple[list[tuple[int, int, int, int, bytes]], bytes, bytes, int, int]:
        """Takes the next piece of the stream.

        Returns (captured records as (kind, record, offset, callable, payload), packed output entries, packed switch
        entries, number of the first record that starts in this piece, its offset in the stream or -1 if none does).
        """
        piece_start = self.complete + len(self._rest)
        self._rest += data
        captured: list[tuple[int, int, int, int, bytes]] = []
        outputs, switches = bytearray(), bytearray()
        first_record, first_offset = 0, -1
        at = 0
        while at < len(self._rest):
            if self.complete >= piece_start and first_offset < 0:
                first_record, first_offset = self.records, self.complete
            if len(self._rest) - at < HEADER.size:
                break
            callable_index, kind, flags, _, size = HEADER.unpack_from(self._rest, at)
            if len(self._rest) - at < HEADER.size + size:
                break
            payload = self._rest[at + HEADER.size : at + HEADER.size + size]
            if flags & FLAG_OUTPUT and size >= OUTPUT_PREFIX.size:
                descriptor, written = OUTPUT_PREFIX.unpack_from(payload)
                place = self.complete + HEADER.size + OUTPUT_PREFIX.size
                outputs += OUTPUT_ENTRY.pack(self.records, place, descriptor, written)
            if kind == Kind.SWITCH:
                switches += SWITCH_ENTRY.pack(self.records, self.complete)
            if kind in CAPTURED and size <= MOST_CAPTURED:
                captured.append((kind, self.records, self.complete, callable_index, payload))
            at += HEADER.size + size
            self.complete += HEADER.size + size
            self.records += 1
        self._rest = self._rest[at:]
        return captured, bytes(outputs), bytes(switches), first_record, first_offset
