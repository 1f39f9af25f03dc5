"""Reads a trace, finished or still growing, believing nothing that the file says without checking it.

Every value carries a checksum over itself and its place, every table its number of entries, so a changed byte is
either without effect or found. Errors are `TraceError`s. Reading takes no lock and leaves no file behind.
"""

from __future__ import annotations

import os
import sys
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from types import TracebackType
from typing import Self

from retroscope.trace.claim import check_format, is_being_written
from retroscope.trace.errors import DamagedTrace, NoTrace, WrongPython
from retroscope.trace.layout import (
    BATCH,
    CALLABLE_KEY,
    CALLABLES,
    CHUNK,
    CHUNKS,
    ENCODING_RAW,
    ENCODING_ZSTD,
    KEY_RECORDING,
    KEY_STATE,
    META,
    MOST_RAW,
    NO_RECORD,
    OUTPUT,
    OUTPUT_ENTRY,
    POSITION_KEY,
    PROCESS_KEY,
    PROCESSES,
    SOURCES,
    SWITCH_ENTRY,
    SWITCHES,
    unframe,
)
from retroscope.trace.pages import PageFile, Place
from retroscope.trace.records import Record
from retroscope.trace.stream import HEADER
from retroscope.trace.values import MalformedValue, decode_value

_KEPT_CHUNKS = 4


@dataclass(frozen=True, slots=True)
class Process:
    """A recorded process. `ended`: "exited", "signal" (with `number`), "running" or "lost".

    "lost": nobody is writing the trace any more and its end was not seen. `stopped` says why storing ended before the
    process did, else None. `length` is the committed stream in bytes, whole records only.
    """

    id: int
    pid: int
    parent: int | None
    argv: tuple[str, ...]
    cwd: str
    executable: str
    python: str
    started: float
    finished: float | None
    ended: str
    number: int
    stopped: str | None
    records: int
    length: int
    notes: tuple[str, ...] = ()
    facts: dict[str, object] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Source:
    """A source file that ran; its content lies in the stream of `process` at `offset`."""

    path: str
    hash: bytes
    process: int
    record: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Output:
    """What the program wrote to `descriptor` (1 or 2) in record `record`."""

    record: int
    descriptor: int
    data: bytes


@dataclass(frozen=True, slots=True)
class _Chunk:
    offset: int  # in the stream
    raw: int
    encoding: int
    record: int  # first that starts here, and
    start: int  # its offset in the chunk, or NO_RECORD
    key: bytes
    stored: bytes | Place


class TraceReader:
    """An open trace. `path` is the file as the user named it."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError as error:
            raise NoTrace(path, "there is no such file") from error
        except OSError as error:
            raise NoTrace(path, f"cannot be read ({(error.strerror or str(error)).lower()})") from error
        try:
            if os.fstat(self._descriptor).st_mode & 0o170000 != 0o100000:
                raise NoTrace(path, "is not a regular file")
            self._pages = PageFile(self._descriptor, path)
            self.refresh()
        except BaseException:
            os.close(self._descriptor)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = self._pages.descriptor = -1

    def refresh(self) -> None:
        """Looks again at a trace that is being written: everything committed since is there afterwards."""
        self._chunks: dict[int, list[_Chunk]] = {}
        self._names: dict[int, dict[int, str]] = {}
        self._decoded: dict[tuple[int, int], bytes] = {}
        self.live = is_being_written(self._descriptor)
        meta = self._pages.table(META)
        check_format(self._pages, dict(meta))
        self._state = self._facts(META, KEY_STATE, meta.get(KEY_STATE))
        self.meta = self._facts(META, KEY_RECORDING, meta.get(KEY_RECORDING))
        self._check_commit()
        self._processes = self._read_processes()

    @property
    def state(self) -> str:
        """"complete", "recording" (somebody writes it), "stopped" (see `reason`) or "cut off"."""
        state = str(self._state.get("state"))
        return "cut off" if state == "recording" and not self.live else state

    @property
    def reason(self) -> str | None:
        """Why storing stopped."""
        reason = self._state.get("reason")
        return reason if isinstance(reason, str) else None

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return os.fstat(self._descriptor).st_size

    def require_python(self) -> None:
        """Raises WrongPython unless this interpreter can replay the trace."""
        recorded = str(self.meta.get("python"))
        here = ".".join(map(str, sys.version_info[:2]))
        if recorded.split(".")[:2] != here.split("."):
            raise WrongPython(self.path, ".".join(recorded.split(".")[:2]), here)

    # --- processes

    def processes(self) -> list[Process]:
        """In order of start; the program itself is the first."""
        return list(self._processes.values())

    def process(self, number: int) -> Process:
        """The process with this id; KeyError when there is none."""
        return self._processes[number]

    def _read_processes(self) -> dict[int, Process]:
        found = {}
        for key, stored in self._pages.table(PROCESSES).items():
            facts = self._facts(PROCESSES, key, stored)
            if len(key) != PROCESS_KEY.size or facts.get("id") != PROCESS_KEY.unpack(key)[0]:
                raise self._damaged("a process is not what it was")
            process = self._process(facts)
            found[process.id] = process
        if not found:
            raise self._damaged("it has no process")
        return found

    def _process(self, facts: dict[str, object]) -> Process:
        def number(name: str) -> int:
            value = facts.get(name)
            if not isinstance(value, int) or value < 0:
                raise self._damaged(f"a process has no {name}")
            return value

        def moment(name: str) -> float | None:
            value = facts.get(name)
            return value if isinstance(value, float) else None

        ended = facts.get("ended")
        how, code = ("running" if self.live else "lost"), 0
        if isinstance(ended, (tuple, list)) and len(ended) == 2 and isinstance(ended[1], int):
            how, code = str(ended[0]), ended[1]
        argv, notes, parent, stopped = (facts.get(name) for name in ("argv", "notes", "parent", "stopped"))
        return Process(
            id=number("id"), pid=number("pid"), parent=parent if isinstance(parent, int) else None,
            argv=tuple(map(str, argv)) if isinstance(argv, (list, tuple)) else (),
            cwd=str(facts.get("cwd", "")), executable=str(facts.get("executable", "")),
            python=str(facts.get("python", "")), started=moment("started") or 0.0, finished=moment("finished"),
            ended=how, number=code, stopped=stopped if isinstance(stopped, str) else None,
            records=number("records"), length=number("length"),
            notes=tuple(map(str, notes)) if isinstance(notes, (list, tuple)) else (), facts=facts,
        )  # fmt: skip

    # --- the stream

    def stream(self, process: int) -> Iterator[bytes]:
        """The raw stream of a process, piece by piece, whole records only."""
        left = self._processes[process].length
        for chunk in self._chunk_list(process):
            if left <= 0:
                break
            data = self._chunk_bytes(chunk)
            yield data[:left]
            left -= len(data)

    def flat(self, process: int, descriptor: int) -> int:
        """Writes the whole stream to `descriptor`; returns its length in bytes."""
        written = 0
        for piece in self.stream(process):
            view = memoryview(piece)
            while view:
                done = os.write(descriptor, view)
                view = view[done:]
                written += done
        return written

    def read(self, process: int, offset: int, size: int) -> bytes:
        """`size` bytes of the stream at `offset`."""
        if offset < 0 or size < 0 or offset + size > self._processes[process].length:
            raise self._damaged("something points outside the stream")
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

    def records(self, process: int, first: int = 0) -> Iterator[Record]:
        """The records of a process from number `first` on."""
        length = self._processes[process].length
        names = self.callables(process)
        index, offset = self._nearest_record(process, first)

        def read(at: int, size: int) -> bytes:
            return self.read(process, at, size)

        while offset < length:
            header = HEADER.unpack(self.read(process, offset, HEADER.size))
            if offset + HEADER.size + header[4] > length:
                raise self._damaged("a record reaches beyond the stream")
            if index >= first:
                yield Record(index, offset, header, names.get(header[0], "") if header[0] else "", read)
            offset += HEADER.size + header[4]
            index += 1

    def callables(self, process: int) -> dict[int, str]:
        """The names behind the indexes that the records of a process use."""
        if not self._names:
            for key, stored in self._pages.table(CALLABLES).items():
                owner, index = self._key(CALLABLE_KEY, key)
                name = self._value(CALLABLES, key, stored)
                self._names.setdefault(owner, {})[index] = str(name)
        return self._names.get(process, {})

    def _nearest_record(self, process: int, number: int) -> tuple[int, int]:
        """A record at or before `number` whose offset is known, with its offset."""
        best = (0, 0)
        for chunk in self._chunk_list(process):
            if chunk.record > number:
                break
            if chunk.start != NO_RECORD:
                best = (chunk.record, chunk.offset + chunk.start)
        return best

    def _chunk_list(self, process: int) -> list[_Chunk]:
        if not self._chunks:
            for key, stored in self._pages.places(CHUNKS).items():
                owner, offset = self._key(POSITION_KEY, key)
                self._chunks.setdefault(owner, []).append(self._chunk(offset, key, stored))
            for number, entry in self._processes.items():
                self._check_chunks(self._chunks.setdefault(number, []), entry.length)
        return self._chunks[process]

    def _check_chunks(self, chunks: list[_Chunk], length: int) -> None:
        end = 0
        for chunk in chunks:
            if chunk.offset != end:
                raise self._damaged("a part of the stream is missing")
            end += chunk.raw
        if end < length:
            raise self._damaged("the end of the stream is missing")

    def _chunk(self, offset: int, key: bytes, stored: bytes | Place) -> _Chunk:
        """The chunk's header, unchecked as yet: its checksum needs all of it, and all of it is read later."""
        head = stored
        if isinstance(stored, Place):
            head = self._pages.read(Place(stored.offset, min(stored.size, 4 + CHUNK.size)))
        assert isinstance(head, bytes)
        if len(head) < 4 + CHUNK.size:
            raise self._damaged("a part of the stream is cut short")
        encoding, raw, record, start = CHUNK.unpack_from(head, 4)
        if not 0 < raw <= MOST_RAW:
            raise self._damaged("a part of the stream has an impossible size")
        return _Chunk(offset, raw, encoding, record, start, key, stored)

    def _cached(self, process: int, chunk: _Chunk) -> bytes:
        place = (process, chunk.offset)
        data = self._decoded.pop(place, None)
        if data is None:
            data = self._chunk_bytes(chunk)
            while len(self._decoded) >= _KEPT_CHUNKS:
                self._decoded.pop(next(iter(self._decoded)))
        self._decoded[place] = data
        return data

    def _chunk_bytes(self, chunk: _Chunk) -> bytes:
        body = self._body(CHUNKS, chunk.key, chunk.stored)
        return self._unpacked(chunk.encoding, body[CHUNK.size :], chunk.raw)

    # --- sources, output, turns

    def sources(self) -> list[Source]:
        """Every source file that ran, in the order in which the processes loaded them."""
        found = []
        for key, stored in self._pages.table(SOURCES).items():
            process, record = self._key(POSITION_KEY, key)
            facts = self._facts(SOURCES, key, stored)
            path, digest, offset, size = (facts.get(name) for name in ("path", "hash", "offset", "size"))
            if not (isinstance(path, str) and isinstance(digest, bytes)):
                raise self._damaged("a source file has no name")
            if not (isinstance(offset, int) and isinstance(size, int)) or process not in self._processes:
                raise self._damaged("a source file has no place")
            if offset + size <= self._processes[process].length:
                found.append(Source(path, digest, process, record, offset, size))
        return found

    def source(self, path: str) -> bytes:
        """The content of the source file `path` as it ran first; KeyError when the trace has none of this path."""
        for source in self.sources():
            if source.path == path:
                return self.source_content(source)
        raise KeyError(path)

    def source_content(self, source: Source) -> bytes:
        content = self.read(source.process, source.offset, source.size)
        if blake2b(content, digest_size=16).digest() != source.hash:
            raise self._damaged(f"the source of {source.path} is not what it was")
        return content

    def output(self, process: int) -> Iterator[Output]:
        """What the process wrote to descriptors 1 and 2, in order."""
        length = self._processes[process].length
        for record, offset, descriptor, size in self._batches(OUTPUT, process, OUTPUT_ENTRY.format):
            if offset + size <= length:
                yield Output(record, descriptor, self.read(process, offset, size))

    def switches(self, process: int) -> Iterator[tuple[int, int]]:
        """(number, offset) of every hand-over of the turn."""
        length = self._processes[process].length
        for record, offset in self._batches(SWITCHES, process, SWITCH_ENTRY.format):
            if offset < length:
                yield record, offset

    def _batches(self, table: bytes, process: int, form: str) -> Iterator[tuple[int, ...]]:
        import struct

        entry = struct.Struct(form)
        for key, stored in self._pages.places(table).items():
            if self._key(POSITION_KEY, key)[0] != process:
                continue
            body = self._body(table, key, stored)
            if len(body) < BATCH.size:
                raise self._damaged("a list is cut short")
            encoding, count = BATCH.unpack_from(body)
            if count * entry.size > MOST_RAW:
                raise self._damaged("a list has an impossible size")
            yield from entry.iter_unpack(self._unpacked(encoding, body[BATCH.size :], count * entry.size))

    # --- values

    def _damaged(self, why: str) -> DamagedTrace:
        return DamagedTrace(self.path, why)

    def _key(self, form: object, key: bytes) -> tuple[int, int]:
        import struct

        assert isinstance(form, struct.Struct)
        if len(key) != form.size:
            raise self._damaged("a key has the wrong size")
        first, second = form.unpack(key)
        return first, second

    def _body(self, table: bytes, key: bytes, stored: bytes | Place | None) -> bytes:
        if stored is None:
            raise self._damaged("something is missing from it")
        if isinstance(stored, Place):
            stored = self._pages.read(stored)
        body = unframe(table, key, stored)
        if body is None:
            raise self._damaged("a checksum does not fit")
        return body

    def _value(self, table: bytes, key: bytes, stored: bytes | Place | None) -> object:
        try:
            return decode_value(self._body(table, key, stored))
        except MalformedValue as error:
            raise self._damaged(str(error)) from error

    def _facts(self, table: bytes, key: bytes, stored: bytes | Place | None) -> dict[str, object]:
        value = self._value(table, key, stored)
        if not isinstance(value, dict):
            raise self._damaged("facts are not what they were")
        return {str(name): fact for name, fact in value.items()}

    def _unpacked(self, encoding: int, body: bytes, size: int) -> bytes:
        if encoding == ENCODING_RAW:
            data = body
        elif encoding == ENCODING_ZSTD:
            import zstandard

            try:
                if zstandard.frame_content_size(body) != size:
                    raise self._damaged("a part of it does not unpack")
                data = zstandard.ZstdDecompressor().decompress(body)
            except zstandard.ZstdError as error:
                raise self._damaged("a part of it does not unpack") from error
        else:
            raise self._damaged("a part of it is packed in an unknown way")
        if len(data) != size:
            raise self._damaged("a part of it does not unpack")
        return data

    def _check_commit(self) -> None:
        """The state must be that of the commit that LMDB's first pages say is the newest."""
        snapshots = self._pages.settled()
        if not self.live and self._state.get("commit") != snapshots[0].transaction:
            raise self._damaged("its newest commit is not where it should be")


def open_trace(path: str | os.PathLike[str]) -> TraceReader:
    """Opens a trace for reading; a TraceError says in one sentence why not."""
    return TraceReader(os.fspath(path))
