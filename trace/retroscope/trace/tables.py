"""The tables of a trace with every value checked: between the pages of the file and what the tables mean."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from retroscope.trace.errors import DamagedTrace
from retroscope.trace.layout import ENCODING_RAW, ENCODING_ZSTD, unframe
from retroscope.trace.pages import PageFile, Place
from retroscope.trace.values import MalformedValue, decode_value


class Tables:
    """Reads and checks values; everything wrong is a TraceError."""

    def __init__(self, pages: PageFile) -> None:
        self.pages = pages

    def damaged(self, why: str) -> DamagedTrace:
        return self.pages.damaged(why)

    def rows(self, table: bytes) -> Iterator[tuple[bytes, bytes]]:
        """(key, body) of every entry, in order of the keys."""
        for key, stored in self.pages.table(table).items():
            yield key, self.checked(table, key, stored)

    def places(self, table: bytes) -> dict[bytes, bytes | Place]:
        """Every entry, its value neither read nor checked as yet: `body` does that."""
        return self.pages.places(table)

    def body(self, table: bytes, key: bytes, stored: bytes | Place) -> bytes:
        return self.checked(table, key, self.pages.read(stored) if isinstance(stored, Place) else stored)

    def head(self, stored: bytes | Place, size: int) -> bytes:
        """The first `size` bytes of a stored value, unchecked."""
        if isinstance(stored, Place):
            stored = self.pages.read(Place(stored.offset, min(stored.size, size)))
        if len(stored) < size:
            raise self.damaged("a value is cut short")
        return stored[:size]

    def checked(self, table: bytes, key: bytes, stored: bytes) -> bytes:
        body = unframe(table, key, stored)
        if body is None:
            raise self.damaged("a checksum does not fit")
        return body

    def key(self, form: struct.Struct, key: bytes) -> tuple[int, int]:
        """A key of two numbers."""
        if len(key) != form.size:
            raise self.damaged("a key has the wrong size")
        first, second = form.unpack(key)
        return first, second

    def value(self, body: bytes) -> object:
        try:
            return decode_value(body)
        except MalformedValue as error:
            raise self.damaged(str(error)) from error

    def facts(self, body: bytes) -> dict[str, object]:
        """A dict of named facts."""
        value = self.value(body)
        if not isinstance(value, dict):
            raise self.damaged("facts are not what they were")
        return {str(name): fact for name, fact in value.items()}

    def unpacked(self, encoding: int, packed: bytes, size: int) -> bytes:
        """`packed` as the `size` bytes that it must be; nothing larger is ever allocated."""
        if encoding == ENCODING_RAW:
            data = packed
        elif encoding == ENCODING_ZSTD:
            data = self._decompressed(packed, size)
        else:
            raise self.damaged("a part of it is packed in an unknown way")
        if len(data) != size:
            raise self.damaged("a part of it does not unpack")
        return data

    def _decompressed(self, packed: bytes, size: int) -> bytes:
        import zstandard  # here, because many questions need no stream

        try:
            if zstandard.frame_content_size(packed) != size:
                raise self.damaged("a part of it does not unpack")
            return zstandard.ZstdDecompressor().decompress(packed)
        except zstandard.ZstdError as error:
            raise self.damaged("a part of it does not unpack") from error
