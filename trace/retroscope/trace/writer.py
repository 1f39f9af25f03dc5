"""Writes a trace: raw streams of processes in, committed chunks out. Used by the drain and by tests.

Nothing is in the trace until `commit`; a commit is a consistent state that readers may open at once.
"""

from __future__ import annotations

import time

from retroscope.trace.claim import Claim
from retroscope.trace.encoding import encode_value
from retroscope.trace.errors import RefusedPath
from retroscope.trace.layout import (
    BATCH,
    CALLABLE_KEY,
    CALLABLES,
    CHUNK,
    CHUNKS,
    DATABASES,
    ENCODING_RAW,
    ENCODING_ZSTD,
    FORMAT,
    FORMAT_MAGIC,
    KEY_FORMAT,
    KEY_RECORDING,
    META,
    NO_RECORD,
    OUTPUT,
    OUTPUT_ENTRY,
    POSITION_KEY,
    PROCESS_KEY,
    PROCESSES,
    SOURCES,
    SWITCH_ENTRY,
    SWITCHES,
    TRACE_VERSION,
)
from retroscope.trace.redaction import RedactedStream, Redaction
from retroscope.trace.store import StorageFull, Store
from retroscope.trace.stream import HEADER, Kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Scanner(Protocol):
        """`stream.RecordScanner` or its twin in C."""

        records: int
        complete: int

        def feed(
            self, data: bytes, /
        ) -> tuple[list[tuple[int, int, int, int, bytes]], bytes, bytes, int, int]: ...


LEVEL = 3  # of zstd
QUICK_LEVEL = 1  # when the recorded program is faster than we are
_SMALLEST_COMPRESSED = 64
_MOST_NOTES = 100

__all__ = ["ProcessWriter", "StorageFull", "TraceWriter"]


class ProcessWriter:
    """One process of the trace: its facts, and what of its stream is not yet committed."""

    def __init__(
        self, number: int, scanner: Scanner, facts: dict[str, object], redaction: Redaction | None = None
    ) -> None:
        self.number = number
        self.facts = facts
        self._redacted = None if redaction is None else RedactedStream(redaction)
        self.notes: list[str] = []
        self.records = 0  # committed
        self.length = 0  # bytes of whole records, committed
        self.pending = 0  # bytes that came since the last commit
        self._scanner = scanner
        self._stored = 0  # offset in the stream behind what is committed
        self._pieces: list[bytes] = []
        self._entry = b""

    def append(self, data: bytes) -> None:
        """The next piece of the stream; kept until the next commit."""
        self._keep(data if self._redacted is None else self._redacted.feed(data))

    def end(self) -> None:
        """No further piece comes."""
        if self._redacted is not None:
            self._keep(self._redacted.rest())

    def _keep(self, data: bytes) -> None:
        if data:
            self._pieces.append(data)
            self.pending += len(data)

    def cut(self, compressor: Compressor) -> list[tuple[bytes, bytes, bytes]]:
        """Everything pending as one chunk with its lists: (table, key, body)."""
        if not self.pending:
            return []
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        captured, outputs, switches, record, at = self._scanner.feed(data)
        values = self._lists(captured)
        start = NO_RECORD if at < 0 else at - self._stored
        encoding, body = compressor.encode(data)
        header = CHUNK.pack(encoding, len(data), record, start)
        values.append((CHUNKS, POSITION_KEY.pack(self.number, self._stored), header + body))
        for table, entries, size in ((OUTPUT, outputs, OUTPUT_ENTRY.size), (SWITCHES, switches, SWITCH_ENTRY.size)):
            if entries:
                encoding, body = compressor.encode(entries)
                first = int.from_bytes(entries[:8], "little")
                header = BATCH.pack(encoding, len(entries) // size)
                values.append((table, POSITION_KEY.pack(self.number, first), header + body))
        return values

    def _lists(self, captured: list[tuple[int, int, int, int, bytes]]) -> list[tuple[bytes, bytes, bytes]]:
        values = []
        for kind, record, offset, callable_index, payload in captured:
            if kind == Kind.DEFINE:
                values.append((CALLABLES, CALLABLE_KEY.pack(self.number, callable_index), payload))
            elif kind == Kind.NOTE and len(self.notes) < _MOST_NOTES:
                self.notes.append(payload[5:].decode("utf-8", "replace"))
            elif kind == Kind.SOURCE:
                place = POSITION_KEY.pack(self.number, record)
                values.append((SOURCES, place, _source_entry(payload, offset + HEADER.size)))
        return values

    def committed(self) -> None:
        """What `cut` gave is in the file now."""
        self._stored += self.pending
        self.records, self.length = self._scanner.records, self._scanner.complete
        self._pieces.clear()
        self.pending = 0

    def news(self) -> list[tuple[bytes, bytes, bytes]]:
        """The process's own entry with the pending chunk, if it differs from what is in the file."""
        table, key, body = self.entry(ahead=True)
        if body == self._entry:
            return []
        self._entry = body
        return [(table, key, body)]

    def entry(self, *, ahead: bool) -> tuple[bytes, bytes, bytes]:
        """The process's own entry; `ahead`: as it will be once the pending chunk is in."""
        source = self._scanner if ahead else None
        facts = {
            **self.facts,
            "id": self.number,
            "records": source.records if source else self.records,
            "length": source.complete if source else self.length,
            "notes": list(self.notes),
        }
        return PROCESSES, PROCESS_KEY.pack(self.number), encode_value(facts)


HASH_BYTES = 16


def _source_entry(payload: bytes, offset: int) -> bytes:
    """(str path, bytes content, bytes hash, …) in the stream at `offset` → path, hash and the place of the content."""
    path_size = int.from_bytes(payload[6:10], "little")
    content = 10 + path_size + 5
    size = int.from_bytes(payload[content - 4 : content], "little")
    return encode_value(
        {
            "path": payload[10 : 10 + path_size].decode("utf-8", "surrogatepass"),
            "hash": payload[content + size + 5 : content + size + 5 + HASH_BYTES],
            "offset": offset + content,
            "size": size,
        }
    )


class Compressor:
    """zstd, with a quicker level for when it must catch up."""

    def __init__(self) -> None:
        import zstandard

        self._thorough = zstandard.ZstdCompressor(level=LEVEL)
        self._quick = zstandard.ZstdCompressor(level=QUICK_LEVEL)
        self.hurry = False

    def encode(self, data: bytes) -> tuple[int, bytes]:
        if len(data) >= _SMALLEST_COMPRESSED:
            packed = (self._quick if self.hurry else self._thorough).compress(data)
            if len(packed) < len(data):
                return ENCODING_ZSTD, packed
        return ENCODING_RAW, data


class TraceWriter:
    """A new trace at `claim`; `recording` are the facts of the whole recording."""

    def __init__(self, claim: Claim, recording: dict[str, object], redaction: Redaction | None = None) -> None:
        """Touches nothing yet: the file is made by the first commit."""
        self._redaction = redaction
        self._claim = claim
        self._compressor = Compressor()
        self._store: Store | None = None
        self.processes: list[ProcessWriter] = []
        self._numbers = 0  # given so far
        self._recording = recording
        self.begun = False  # is there a trace under its own name?

    @property
    def size(self) -> int:
        """Bytes of the trace so far."""
        return self._store.size() if self._store else 0

    def hurry(self, on: bool) -> None:
        """Compress less well and faster from now on, or not."""
        self._compressor.hurry = on

    @property
    def pending(self) -> int:
        """Bytes that came since the last commit."""
        return sum(process.pending for process in self.processes)

    def claim_number(self) -> int:
        """The number of a process that may come; it is given to no other."""
        self._numbers += 1
        return self._numbers

    def add_process(self, scanner: Scanner, facts: dict[str, object], number: int | None = None) -> ProcessWriter:
        """A further process; facts: pid, parent, argv, cwd, python, started …, plain values only."""
        number = self.claim_number() if number is None else number
        if self._redaction is not None:
            facts = {name: self._redaction.value(fact) for name, fact in facts.items()}
        process = ProcessWriter(number, scanner, {"ended": None, "stopped": None, **facts}, self._redaction)
        self.processes.append(process)
        return process

    def process(self, number: int) -> ProcessWriter | None:
        """The process with this number."""
        return next((process for process in self.processes if process.number == number), None)

    def commit(self) -> None:
        """Everything pending into the file; StorageFull when that is impossible, and then `stop` must follow."""
        if self._store is None:
            self._store = Store(self._claim.temporary, self._claim.descriptor, DATABASES)
        values = [] if self.begun else self._beginning()
        for process in self.processes:
            values += process.cut(self._compressor)
            values += process.news()
        self._store.commit(values, {"state": "recording", "reason": None, "time": time.time()})
        for process in self.processes:
            process.committed()
        if not self.begun:
            self._settle()

    def _settle(self) -> None:
        try:
            self._claim.settle()
        except RefusedPath as refused:
            raise StorageFull(refused.why) from refused
        self.begun = True

    def _beginning(self) -> list[tuple[bytes, bytes, bytes]]:
        return [
            (META, KEY_FORMAT, FORMAT.pack(FORMAT_MAGIC, TRACE_VERSION)),
            (META, KEY_RECORDING, encode_value(self._recording)),
        ]

    def close(self, stopped: str | None = None) -> None:
        """The last commit; `stopped` says why storing ended before the program did.

        What is still pending is committed, unless storing stopped. StorageFull when even the reserve is gone.
        """
        if stopped is None:
            for process in self.processes:
                process.end()
            self.commit()
        outcome = "stopped" if stopped else "complete"
        state: dict[object, object] = {"state": outcome, "reason": stopped, "time": time.time()}
        try:
            if self._store and self.begun:
                self._store.last_commit([process.entry(ahead=False) for process in self.processes], state)
        finally:
            if self._store:
                self._store.close()
            self._claim.release()
