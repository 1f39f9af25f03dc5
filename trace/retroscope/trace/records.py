"""One record of an input stream, as a reader of a trace sees it."""

from __future__ import annotations

from typing import Protocol

from retroscope.trace.errors import DamagedTrace
from retroscope.trace.stream import FLAG_OUTPUT, HEADER, KIND_NAMES, OUTPUT_PREFIX
from retroscope.trace.values import MalformedValue, decode_value


class Bytes(Protocol):
    """Where records are read from: the streams of a trace."""

    def read(self, process: int, offset: int, size: int) -> bytes: ...
    def damaged(self, why: str) -> DamagedTrace: ...


class Record:
    """A record's header; payload and value are read when asked for, and DamagedTrace says when they make no sense.

    `index` is its InputId, `offset` its place in the stream, `name` the callable's dotted name ("" for records of the
    recorder itself).
    """

    __slots__ = ("_process", "_streams", "callable", "digest", "flags", "index", "kind", "name", "offset", "size")

    def __init__(
        self, streams: Bytes, process: int, index: int, offset: int, header: tuple[int, int, int, int, int], name: str
    ) -> None:
        self._streams = streams
        self._process = process
        self.index = index
        self.offset = offset
        self.callable, self.kind, self.flags, self.digest, self.size = header
        self.name = name

    @property
    def kind_name(self) -> str:
        return KIND_NAMES.get(self.kind, f"kind-{self.kind}")

    def payload(self) -> bytes:
        """All bytes after the header."""
        return self._read(0, self.size)

    def output(self) -> tuple[int, bytes] | None:
        """(descriptor, bytes) of what the program wrote in this call."""
        if not self.flags & FLAG_OUTPUT:
            return None
        descriptor, size = self._output_prefix()
        return descriptor, self._read(OUTPUT_PREFIX.size, size)

    def value(self) -> object:
        """The decoded value; None too when the record has none.

        Objects that only the recorded program could make come as the classes of `retroscope.trace.values`.
        """
        start = 0
        if self.flags & FLAG_OUTPUT:
            start = OUTPUT_PREFIX.size + self._output_prefix()[1]
        payload = self._read(start, self.size - start)
        try:
            return decode_value(payload) if payload else None
        except MalformedValue as error:
            raise self._streams.damaged(f"input {self.index}: {error}") from error

    def _read(self, start: int, size: int) -> bytes:
        return self._streams.read(self._process, self.offset + HEADER.size + start, size)

    def _output_prefix(self) -> tuple[int, int]:
        if self.size >= OUTPUT_PREFIX.size:
            descriptor, size = OUTPUT_PREFIX.unpack(self._read(0, OUTPUT_PREFIX.size))
            if size <= self.size - OUTPUT_PREFIX.size:
                return descriptor, size
        raise self._streams.damaged(f"input {self.index}: its output is cut short")
