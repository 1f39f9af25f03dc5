"""The input streams of a trace: raw, record by record, and by the lists of output and of turns."""

from __future__ import annotations

import os
import struct
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from retroscope.trace.errors import DamagedTrace
from retroscope.trace.layout import (
    BATCH,
    CALLABLE_KEY,
    CALLABLES,
    CHECKSUM,
    CHUNK,
    CHUNKS,
    MOST_RAW,
    NO_RECORD,
    OUTPUT,
    OUTPUT_ENTRY,
    POSITION_KEY,
    SWITCH_ENTRY,
    SWITCHES,
)
from retroscope.trace.pages import Place
from retroscope.trace.records import Record
from retroscope.trace.stream import HEADER, OUTPUT_PREFIX, Kind
from retroscope.trace.tables import Tables
from retroscope.trace.values import MalformedValue, decode_value

_KEPT_CHUNKS = 4


@dataclass(frozen=True, slots=True)
class _Chunk:
    offset: int  # in the stream
    raw: int
    encoding: int
    record: int  # number of the first record that starts here, and
    start: int  # its offset in the chunk, or NO_RECORD
    key: bytes
    stored: bytes | Place


class Streams:
    """The streams of the processes in `lengths`: process id → bytes of whole records."""

    def __init__(self, tables: Tables, lengths: dict[int, int]) -> None:
        self._tables = tables
        self._lengths = lengths
        self._chunks: dict[int, list[_Chunk]] | None = None
        self._names: dict[int, dict[int, str]] | None = None
        self._lists: dict[bytes, dict[int, list[bytes]]] = {}
        self._unpacked: dict[tuple[int, int], bytes] = {}

    def damaged(self, why: str) -> DamagedTrace:
        return self._tables.damaged(why)

    # --- bytes

    def pieces(self, process: int, most: int | None = None) -> Iterator[bytes]:
        """The whole stream, or its first `most` bytes, piece by piece."""
        left = self._lengths[process] if most is None else min(most, self._lengths[process])
        for chunk in self._chunk_list(process):
            if left <= 0:
                break
            data = self._chunk_bytes(chunk)
            yield data[:left]
            left -= len(data)

    def flat(self, process: int, descriptor: int, most: int | None = None) -> int:
        """Writes the whole stream, or its first `most` bytes, to `descriptor`; returns how many."""
        written = 0
        for piece in self.pieces(process, most):
            view = memoryview(piece)
            while view:
                done = os.write(descriptor, view)
                view = view[done:]
                written += done
        return written

    def read(self, process: int, offset: int, size: int) -> bytes:
        """`size` bytes of the stream at `offset`."""
        if offset < 0 or size < 0 or offset + size > self._lengths[process]:
            raise self.damaged("something points outside the stream")
        chunks = self._chunk_list(process)
        at = bisect_right(chunks, offset, key=lambda chunk: chunk.offset) - 1
        pieces = []
        while size > 0:
            data = self._cached(process, chunks[at])
            start = offset - chunks[at].offset
            pieces.append(data[start : start + size])
            offset += len(pieces[-1])
            size -= len(pieces[-1])
            at += 1
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _chunk_list(self, process: int) -> list[_Chunk]:
        if self._chunks is None:
            chunks: dict[int, list[_Chunk]] = {number: [] for number in self._lengths}
            for key, stored in self._tables.places(CHUNKS).items():
                chunk = self._chunk(key, stored)
                owner = POSITION_KEY.unpack(key)[0]
                chunks.setdefault(owner, []).append(chunk)  # a process may have been added since we looked
            for number, length in self._lengths.items():
                self._check_chunks(chunks[number], length)
            self._chunks = chunks
        return self._chunks[process]

    def _chunk(self, key: bytes, stored: bytes | Place) -> _Chunk:
        """The chunk's header, unchecked as yet: its checksum needs all of it, and all of it is read later."""
        _, offset = self._tables.key(POSITION_KEY, key)
        head = self._tables.head(stored, CHECKSUM.size + CHUNK.size)
        encoding, raw, record, start = CHUNK.unpack_from(head, CHECKSUM.size)
        if not 0 < raw <= MOST_RAW:
            raise self.damaged("a part of the stream has an impossible size")
        return _Chunk(offset, raw, encoding, record, start, key, stored)

    def _check_chunks(self, chunks: list[_Chunk], length: int) -> None:
        end = 0
        for chunk in chunks:
            if chunk.offset != end:
                raise self.damaged("a part of the stream is missing")
            end += chunk.raw
        if end < length:
            raise self.damaged("the end of the stream is missing")

    def _cached(self, process: int, chunk: _Chunk) -> bytes:
        place = (process, chunk.offset)
        data = self._unpacked.pop(place, None)
        if data is None:
            data = self._chunk_bytes(chunk)
            while len(self._unpacked) >= _KEPT_CHUNKS:
                self._unpacked.pop(next(iter(self._unpacked)))
        self._unpacked[place] = data
        return data

    def _chunk_bytes(self, chunk: _Chunk) -> bytes:
        body = self._tables.body(CHUNKS, chunk.key, chunk.stored)
        return self._tables.unpacked(chunk.encoding, body[CHUNK.size :], chunk.raw)

    # --- records

    def records(self, process: int, names: Mapping[int, str], first: int = 0) -> Iterator[Record]:
        """The records from number `first` on; `names` are those of callables."""
        length = self._lengths[process]
        index, offset = self._nearest_record(process, first)
        while offset < length:
            header = HEADER.unpack(self.read(process, offset, HEADER.size))
            if offset + HEADER.size + header[4] > length:
                raise self.damaged("a record reaches beyond the stream")
            if index >= first:
                yield Record(self, process, index, offset, header, names.get(header[0], "") if header[0] else "")
            offset += HEADER.size + header[4]
            index += 1

    def callables(self, process: int) -> dict[int, str]:
        """The names behind the indexes that the records of a process use."""
        if self._names is None:
            names: dict[int, dict[int, str]] = {}
            for key, body in self._tables.rows(CALLABLES):
                owner, index = self._tables.key(CALLABLE_KEY, key)
                names.setdefault(owner, {})[index] = str(self._tables.value(body))
            self._names = names
        return self._names.get(process, {})

    def _nearest_record(self, process: int, number: int) -> tuple[int, int]:
        """A record at or before `number` whose offset is known: (number, offset)."""
        nearest = None
        for chunk in self._chunk_list(process):
            if chunk.start != NO_RECORD:
                if chunk.record > number:
                    break
                nearest = chunk
        if nearest is None:
            return 0, 0
        self._cached(process, nearest)  # checks the header that we count from
        return nearest.record, nearest.offset + nearest.start

    # --- lists

    def outputs(self, process: int) -> Iterator[tuple[int, int, int, int]]:
        """(record, offset of the bytes, descriptor, size) of each piece of output."""
        for record, offset, descriptor, size in self._entries(OUTPUT, process, OUTPUT_ENTRY):
            if offset + size <= self._lengths[process]:
                yield record, offset, descriptor, size

    def time_of_output(self, process: int, offset: int) -> float | None:
        """When the piece of output at `offset` had been written, in seconds of the monotonic clock; None: not known."""
        start = offset - OUTPUT_PREFIX.size - HEADER.size
        after = start + HEADER.size + HEADER.unpack(self.read(process, start, HEADER.size))[4]
        if after + HEADER.size > self._lengths[process]:
            return None
        _, kind, _, _, length = HEADER.unpack(self.read(process, after, HEADER.size))
        if kind != Kind.CLOCK:
            return None
        try:
            value = decode_value(self.read(process, after + HEADER.size, length))
        except MalformedValue as error:
            raise self.damaged(str(error)) from error
        time = value[1] if isinstance(value, tuple) and len(value) == 2 else None
        return time if isinstance(time, float) else None

    def switches(self, process: int) -> Iterator[tuple[int, int]]:
        """(record, offset of the record) of each hand-over of the turn."""
        for record, offset in self._entries(SWITCHES, process, SWITCH_ENTRY):
            if offset < self._lengths[process]:
                yield record, offset

    def _entries(self, table: bytes, process: int, entry: struct.Struct) -> Iterator[tuple[int, ...]]:
        for body in self._batches(table)[process]:
            encoding, count = BATCH.unpack_from(body)
            if count * entry.size > MOST_RAW:
                raise self.damaged("a list has an impossible size")
            yield from entry.iter_unpack(self._tables.unpacked(encoding, body[BATCH.size :], count * entry.size))

    def _batches(self, table: bytes) -> dict[int, list[bytes]]:
        """The batches of every process, all checked: only so is it certain whose each is, and that none is missing."""
        found = self._lists.get(table)
        if found is None:
            found = {number: [] for number in self._lengths}
            for key, stored in self._tables.places(table).items():
                process, _ = self._tables.key(POSITION_KEY, key)
                body = self._tables.body(table, key, stored)
                if len(body) < BATCH.size:
                    raise self.damaged("a list is cut short")
                found.setdefault(process, []).append(body)
            self._lists[table] = found
        return found
