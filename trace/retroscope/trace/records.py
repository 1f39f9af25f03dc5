"""One record of an input stream, as a reader of a trace sees it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from retroscope.trace.stream import FLAG_OUTPUT, HEADER, KIND_NAMES, OUTPUT_PREFIX, Kind
from retroscope.trace.values import MalformedValue, decode_value

if TYPE_CHECKING:
    from collections.abc import Callable

_WITHOUT_VALUE = frozenset((Kind.CALLED_BACK,))


class Record:
    """A record's header; payload and value are read when asked for.

    `index` is its InputId, `offset` its place in the stream, `name` the callable's dotted name ("" for records of the
    recorder itself).
    """

    __slots__ = ("_read", "callable", "digest", "flags", "index", "kind", "name", "offset", "size")

    def __init__(
        self, index: int, offset: int, header: tuple[int, int, int, int, int], name: str,
        read: Callable[[int, int], bytes],
    ) -> None:  # fmt: skip
        self.index = index
        self.offset = offset
        self.callable, self.kind, self.flags, self.digest, self.size = header
        self.name = name
        self._read = read

    @property
    def kind_name(self) -> str:
        return KIND_NAMES.get(self.kind, f"kind-{self.kind}")

    def payload(self) -> bytes:
        """All bytes after the header; DamagedTrace when they cannot be read."""
        return self._read(self.offset + HEADER.size, self.size)

    def output(self) -> tuple[int, bytes] | None:
        """(descriptor, bytes) of what the program wrote in this call."""
        if not self.flags & FLAG_OUTPUT:
            return None
        descriptor, size = self._output_prefix()
        return descriptor, self._read(self.offset + HEADER.size + OUTPUT_PREFIX.size, size)

    def _output_prefix(self) -> tuple[int, int]:
        if self.size < OUTPUT_PREFIX.size:
            raise MalformedValue("output is cut short")
        descriptor, size = OUTPUT_PREFIX.unpack(self._read(self.offset + HEADER.size, OUTPUT_PREFIX.size))
        if size > self.size - OUTPUT_PREFIX.size:
            raise MalformedValue("output is cut short")
        return descriptor, size

    def value(self) -> object:
        """The decoded value, None when the kind has none; MalformedValue when it is no value.

        Objects that only the recorded program could make come as the classes of `retroscope.trace.values`.
        """
        start = 0
        if self.flags & FLAG_OUTPUT:
            start = OUTPUT_PREFIX.size + self._output_prefix()[1]
        payload = self._read(self.offset + HEADER.size + start, self.size - start)
        if not payload and self.kind in _WITHOUT_VALUE:
            return None
        try:
            return decode_value(payload)
        except (struct.error, OverflowError) as error:
            raise MalformedValue(str(error)) from None
