"""Values: what is encoded comes back, and no bytes whatever can do more than be refused."""

from __future__ import annotations

import datetime
import math
import pickle
import struct
from collections import OrderedDict
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from retroscope.trace.encoding import encode_value, sized
from retroscope.trace.values import (
    ArgumentReference,
    Handle,
    MalformedValue,
    Pickled,
    RecordedException,
    StructSequence,
    Unrecordable,
    decode_value,
)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text()
    | st.binary()
)
HASHABLE = st.recursive(SCALARS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=5)
VALUES = st.recursive(
    SCALARS | st.binary().map(bytearray),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(HASHABLE, inner) | st.sets(HASHABLE),
    max_leaves=20,
)


def u32(number: int) -> bytes:
    return struct.pack("<I", number)


def typed(value: object) -> object:
    """The value with the types of everything in it, so that 1, 1.0 and True differ."""
    if isinstance(value, dict):
        return dict, [(typed(key), typed(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value), [typed(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return type(value), value
    return type(value), value


@given(VALUES)
def test_a_value_comes_back_with_its_types(value: object) -> None:
    assert typed(decode_value(encode_value(value))) == typed(value)


@pytest.mark.parametrize(
    "value",
    [0, 2**63 - 1, -(2**63), 2**63, -(2**63) - 1, 2**64, -(2**4000), 127, 128, -129, -0.0, math.inf, "\ud800", "\0"],
)
def test_edges_come_back(value: object) -> None:
    back = decode_value(encode_value(value))
    assert repr(back) == repr(value)


def test_nan_keeps_its_bits() -> None:
    odd = struct.unpack("<d", bytes.fromhex("010000000000f87f"))[0]
    assert encode_value(odd) == encode_value(decode_value(encode_value(odd)))


def test_only_plain_types_are_encoded() -> None:
    for value in (object(), OrderedDict(), type("Text", (str,), {})("x")):
        with pytest.raises(TypeError):
            encode_value(value)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_refused(data: bytes) -> None:
    with suppress(MalformedValue):
        decode_value(data)


@given(VALUES, st.data())
def test_a_changed_value_is_a_value_or_refused(value: object, data: st.DataObject) -> None:
    encoded = bytearray(encode_value(value))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] = data.draw(st.integers(0, 255))
    with suppress(MalformedValue):
        decode_value(bytes(encoded))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"i\0\0",
        b"s" + u32(5) + b"abc",
        b"s" + u32(1) + b"\xff",
        b"(" + u32(0xFFFFFFFF),
        b"{" + u32(0x80000000) + b"N" * 10,
        b"{" + u32(1) + b"[" + u32(0) + b"N",
        b"<" + u32(1) + b"[" + u32(0),
        b"(" + (u32(1) + b"(") * 500,
        b"D" + u32(4) + bytes([0, 0, 13, 40]),
        b"D" + u32(5) + b"12345",
        b"NN",
        b"?",
    ],
)
def test_nonsense_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedValue):
        decode_value(data)


def test_deep_nesting_needs_no_stack() -> None:
    value: object = "inside"
    for _ in range(150):
        value = [value]
    assert decode_value(encode_value(value)) == value
    deep = (b"(" + u32(1)) * 400 + b"N"
    assert decode_value(deep) is not None
    with pytest.raises(MalformedValue):
        decode_value(b"[" + u32(1) + deep)


def test_what_needs_types_is_described() -> None:
    name = sized(b"", b"os.stat_result")
    sequence = decode_value(b"S" + name + u32(2) + b"TF")
    assert isinstance(sequence, StructSequence)
    assert (sequence.type_name, sequence.fields) == ("os.stat_result", (True, False))
    error = decode_value(b"x" + sized(b"", b"builtins.OSError") + encode_value((2, "no")) + b"N")
    assert isinstance(error, RecordedException)
    assert repr(error) == "builtins.OSError(2, 'no')"
    assert repr(decode_value(b"A" + u32(0))) == "<self>"
    item = decode_value(b"p" + u32(2) + u32(2) + u32(1))
    assert isinstance(item, ArgumentReference)
    assert item.path == (2, 1)
    assert repr(item) == "<item 1 of argument 2>"
    assert repr(decode_value(b"p" + u32(1) + u32(1 << 31 | 3))) == "<outcome 3 of its callbacks>"
    with pytest.raises(MalformedValue):
        decode_value(b"p" + u32(5) + 5 * u32(0))
    assert repr(decode_value(sized(b"g", b"os:getcwd"))) == "<os:getcwd>"
    handle = decode_value(b"H" + sized(b"", b"_io.FileIO") + encode_value({"mode": "rb"}))
    assert isinstance(handle, Handle)
    assert handle.members == {"mode": "rb"}
    assert isinstance(decode_value(sized(b"U", b"_thread.lock")), Unrecordable)


@given(st.datetimes(), st.dates(), st.integers(0, 1))
def test_dates_are_those_of_the_types_own_state(moment: datetime.datetime, day: datetime.date, fold: int) -> None:
    moment = moment.replace(fold=fold)
    for value in (moment, day):
        state = value.__reduce_ex__(4)[1][0]
        assert isinstance(state, bytes)
        back = decode_value(sized(b"D", state))
        assert back == value
        assert type(back) is type(value)
        assert getattr(back, "fold", 0) == getattr(value, "fold", 0)


class Bomb:
    """Says so when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("a pickle was loaded",))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_named_and_never_loaded(protocol: int) -> None:
    data = pickle.dumps([Bomb(), datetime.timedelta(1)], protocol)
    shown = decode_value(sized(b"P", data))
    assert isinstance(shown, Pickled)
    assert shown.size == len(data)
    assert [name for name in shown.names if name.endswith(("fail", "timedelta"))] != []


@given(st.binary(max_size=300))
def test_no_pickle_can_disturb(data: bytes) -> None:
    assert isinstance(decode_value(sized(b"P", data)), Pickled)
