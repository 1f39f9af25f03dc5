"""Reads a trace, finished or still growing, believing nothing that the file says without checking it.

Every value carries a checksum over itself and its place, every table its number of entries, so a changed byte is
either without effect or found. Errors are `TraceError`s. Reading takes no lock and leaves no file behind.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from types import TracebackType
from typing import Self

from retroscope.trace.claim import check_format, is_being_written
from retroscope.trace.commits import check_commits
from retroscope.trace.errors import NoTrace, WrongPython
from retroscope.trace.inputs import Streams
from retroscope.trace.layout import (
    DATABASES,
    KEY_RECORDING,
    KEY_STATE,
    META,
    POSITION_KEY,
    PROCESS_KEY,
    PROCESSES,
    SOURCES,
)
from retroscope.trace.lineage import BrokenLineage, Part, lineage
from retroscope.trace.pages import PageFile
from retroscope.trace.process import Process
from retroscope.trace.records import Record
from retroscope.trace.tables import Tables


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


class TraceReader:
    """An open trace. `path` is the file as the user named it, `meta` the facts of the recording as a whole."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor = _open(path)
        try:
            self._tables = Tables(PageFile(self._descriptor, path))
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
            self._descriptor = self._tables.pages.descriptor = -1

    def refresh(self) -> None:
        """Looks again at a trace that is being written: everything committed since is there afterwards."""
        self.live = is_being_written(self._descriptor)
        meta = self._tables.pages.table(META)
        check_format(self._tables.pages, meta)
        if KEY_STATE not in meta or KEY_RECORDING not in meta or set(DATABASES) - self._tables.pages.names():
            raise self._tables.damaged("something is missing from it")
        self._state = self._tables.facts(self._tables.checked(META, KEY_STATE, meta[KEY_STATE]))
        self.meta = self._tables.facts(self._tables.checked(META, KEY_RECORDING, meta[KEY_RECORDING]))
        if not self.live:
            check_commits(self._tables)
        self._processes = self._read_processes()
        self._streams = Streams(self._tables, {each.id: each.length for each in self._processes.values()})

    @property
    def state(self) -> str:
        """complete, recording (somebody writes it), stopped (see `reason`) or cut off."""
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
        recorded = ".".join(str(self.meta.get("python")).split(".")[:2])
        here = ".".join(map(str, sys.version_info[:2]))
        if recorded != here:
            raise WrongPython(self.path, recorded, here)

    # --- processes

    def processes(self) -> list[Process]:
        """In order of start; the program itself is the first."""
        return list(self._processes.values())

    def process(self, number: int) -> Process:
        """The process with this id; KeyError when there is none."""
        return self._processes[number]

    def _read_processes(self) -> dict[int, Process]:
        found = {}
        for key, body in self._tables.rows(PROCESSES):
            facts = self._tables.facts(body)
            if len(key) != PROCESS_KEY.size or facts.get("id") != PROCESS_KEY.unpack(key)[0]:
                raise self._tables.damaged("a process is not what it was")
            process = self._process(facts)
            found[process.id] = process
        if not found:
            raise self._tables.damaged("it has no process")
        return found

    def _process(self, facts: dict[str, object]) -> Process:
        ended = facts.get("ended")
        how, code = ("running" if self.live else "lost"), 0
        if isinstance(ended, (tuple, list)) and len(ended) == 2 and isinstance(ended[1], int):
            how, code = str(ended[0]), ended[1]
        parent, stopped = facts.get("parent"), facts.get("stopped")
        return Process(
            id=self._number(facts, "id"),
            pid=self._number(facts, "pid"),
            parent=parent if isinstance(parent, int) else None,
            argv=_texts(facts.get("argv")),
            cwd=str(facts.get("cwd", "")),
            executable=str(facts.get("executable", "")),
            python=str(facts.get("python", "")),
            started=_moment(facts.get("started")) or 0.0,
            finished=_moment(facts.get("finished")),
            ended=how,
            number=code,
            stopped=stopped if isinstance(stopped, str) else None,
            records=self._number(facts, "records"),
            length=self._number(facts, "length"),
            notes=_texts(facts.get("notes")),
            forked=self._forked(facts),
            replaced=facts.get("replaced") is True,
            facts=facts,
        )

    def _forked(self, facts: dict[str, object]) -> tuple[int, int] | None:
        place = facts.get("forked")
        if place is None:
            return None
        if isinstance(place, (tuple, list)) and len(place) == 2:
            length, records = place
            if isinstance(length, int) and isinstance(records, int) and length >= 0 and records >= 0:
                return length, records
        raise self._tables.damaged("where a process was forked makes no sense")

    def _number(self, facts: dict[str, object], name: str) -> int:
        value = facts.get(name)
        if not isinstance(value, int) or value < 0:
            raise self._tables.damaged(f"a process has no {name}")
        return value

    def lineage(self, process: int) -> list[Part]:
        """Whose streams a replay of the process goes through, and how far; BrokenLineage when not all are there."""
        return lineage(self._processes, process)

    # --- streams

    def stream(self, process: int) -> Iterator[bytes]:
        """The raw stream of a process, piece by piece, whole records only."""
        return self._streams.pieces(process)

    def flat(self, process: int, descriptor: int, most: int | None = None) -> int:
        """Writes the whole stream, or its first `most` bytes, to `descriptor`; returns how many."""
        return self._streams.flat(process, descriptor, most)

    def records(self, process: int, first: int = 0) -> Iterator[Record]:
        """The records of a process from number `first` on."""
        return self._streams.records(process, self.callables(process), first)

    def callables(self, process: int) -> dict[int, str]:
        """The names behind the indexes that the records of a process use."""
        names: dict[int, str] = {}
        try:
            for part in self.lineage(process)[:-1]:
                names.update(self._streams.callables(part.process))
        except BrokenLineage:
            pass  # then some have no name
        return names | self._streams.callables(process)

    def output(self, process: int) -> Iterator[Output]:
        """What the process wrote to descriptors 1 and 2, in order."""
        for record, offset, descriptor, size in self._streams.outputs(process):
            yield Output(record, descriptor, self._streams.read(process, offset, size))

    def output_times(self, process: int) -> Iterator[float | None]:
        """When each piece of output had been written, in seconds of the machine's monotonic clock; None: not known."""
        return (self._streams.time_of_output(process, offset) for _, offset, _, _ in self._streams.outputs(process))

    def output_sizes(self, process: int) -> Iterator[tuple[int, int]]:
        """(descriptor, bytes) of each piece of output, without reading it."""
        return ((descriptor, size) for _, _, descriptor, size in self._streams.outputs(process))

    def switches(self, process: int) -> Iterator[tuple[int, int]]:
        """(number, offset) of every hand-over of the turn."""
        return self._streams.switches(process)

    # --- sources

    def sources(self) -> list[Source]:
        """Every source file that ran, in the order in which the processes loaded them."""
        found = []
        for key, body in self._tables.rows(SOURCES):
            process, record = self._tables.key(POSITION_KEY, key)
            facts = self._tables.facts(body)
            path, digest, offset, size = (facts.get(name) for name in ("path", "hash", "offset", "size"))
            if not (isinstance(path, str) and isinstance(digest, bytes)):
                raise self._tables.damaged("a source file has no name")
            if not (isinstance(offset, int) and isinstance(size, int)) or process not in self._processes:
                raise self._tables.damaged("a source file has no place")
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
        content = self._streams.read(source.process, source.offset, source.size)
        if blake2b(content, digest_size=16).digest() != source.hash and not self.meta.get("redacted"):
            raise self._tables.damaged(f"the source of {source.path} is not what it was")
        return content


def _open(path: str) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise NoTrace(path, "there is no such file") from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise NoTrace(path, f"cannot be read ({why.lower()})") from error
    if os.fstat(descriptor).st_mode & 0o170000 != 0o100000:
        os.close(descriptor)
        raise NoTrace(path, "that is not a regular file")
    return descriptor


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, (list, tuple)) else ()


def _moment(value: object) -> float | None:
    return value if isinstance(value, float) else None


def open_trace(path: str | os.PathLike[str]) -> TraceReader:
    """Opens a trace for reading; a TraceError says in one sentence why not."""
    return TraceReader(os.fspath(path))
