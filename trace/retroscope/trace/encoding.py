"""Values to bytes, in the encoding of docs/architecture.md, Seam 2: for the trace's own facts, and for tests.

The recorded program's values are encoded by `recorder/native-core/encode.c`; both must agree.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_U32 = struct.Struct("<I")
_I64 = struct.Struct("<q")
_F64 = struct.Struct("<d")
_COMPLEX = struct.Struct("<dd")


def sized(mark: bytes, data: bytes) -> bytes:
    """A mark, a length and that many bytes."""
    return mark + _U32.pack(len(data)) + data


def _encode_int(value: int) -> bytes:
    if -(1 << 63) <= value < 1 << 63:
        return b"i" + _I64.pack(value)
    return sized(b"I", value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))


def _encode_items(mark: bytes, count: int, items: Iterable[object]) -> bytes:
    return mark + _U32.pack(count) + b"".join(map(encode_value, items))


def _encode_dict(value: dict[object, object]) -> bytes:
    return _encode_items(b"{", len(value), (part for pair in value.items() for part in pair))


_ENCODERS: dict[type, Callable[..., bytes]] = {
    type(None): lambda value: b"N",
    bool: lambda value: b"T" if value else b"F",
    int: _encode_int,
    float: lambda value: b"f" + _F64.pack(value),
    complex: lambda value: b"c" + _COMPLEX.pack(value.real, value.imag),
    str: lambda value: sized(b"s", value.encode("utf-8", "surrogatepass")),
    bytes: lambda value: sized(b"b", value),
    bytearray: lambda value: sized(b"B", value),
    tuple: lambda value: _encode_items(b"(", len(value), value),
    list: lambda value: _encode_items(b"[", len(value), value),
    dict: _encode_dict,
    set: lambda value: _encode_items(b"<", len(value), value),
    frozenset: lambda value: _encode_items(b">", len(value), value),
}


def encode_value(value: object) -> bytes:
    """`value`, of exactly one of the plain types; TypeError for any other."""
    encoder = _ENCODERS.get(type(value))
    if encoder is None:
        raise TypeError(f"a value of type {type(value).__name__} has no native encoding")
    return encoder(value)
