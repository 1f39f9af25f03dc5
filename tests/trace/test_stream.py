"""Finding records in a stream: the scanner of the drain, in C, against its twin in Python."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from retroscope.recorder import _core
from retroscope.trace.layout import OUTPUT_ENTRY, SWITCH_ENTRY
from retroscope.trace.stream import KIND_NAMES, Kind, RecordScanner, encode_record

from tests.trace.making import sample_records

RECORDS = st.lists(
    st.builds(
        encode_record,
        st.integers(0, 15),
        st.binary(max_size=60),
        callable=st.integers(0, 65535),
        digest=st.integers(0, 2**32 - 1),
        output=st.none() | st.tuples(st.integers(1, 2), st.binary(max_size=30)),
    ),
    max_size=25,
)


@given(RECORDS, st.integers(0, 3000), st.lists(st.integers(1, 400), min_size=1))
def test_both_scanners_find_the_same_in_any_pieces(records: list[bytes], cut: int, sizes: list[int]) -> None:
    stream = b"".join(records)
    stream = stream[: len(stream) - cut % (len(stream) + 1)]
    native, plain = _core.RecordScanner(), RecordScanner()
    at = turn = 0
    while at < len(stream):
        piece = stream[at : at + sizes[turn % len(sizes)]]
        assert native.feed(piece) == plain.feed(piece)
        assert (native.records, native.complete) == (plain.records, plain.complete)
        at += len(piece)
        turn += 1


@pytest.mark.parametrize("make", [_core.RecordScanner, RecordScanner])
def test_it_finds_what_was_put_in(make: type) -> None:
    records = sample_records(100)
    scanner = make()
    captured, outputs, switches, first_record, first_offset = scanner.feed(b"".join(records))
    assert scanner.records == len(records)
    assert scanner.complete == sum(map(len, records))
    assert (first_record, first_offset) == (0, 0)
    assert [kind for kind, *_ in captured] == [Kind.DEFINE, Kind.DEFINE, Kind.SOURCE, Kind.NOTE]
    assert [callable_index for _, _, _, callable_index, _ in captured] == [1, 2, 0, 0]
    stream = b"".join(records)
    lines = [stream[at : at + size] for _, at, _, size in OUTPUT_ENTRY.iter_unpack(outputs)]
    assert lines == [b"line %d\n" % i for i in range(0, 100, 7)]
    for record, at in SWITCH_ENTRY.iter_unpack(switches):
        assert stream[at:].startswith(records[record])


def test_a_large_record_is_captured_across_pieces() -> None:
    payload = bytes(range(256)) * 4000
    record = encode_record(Kind.SOURCE, payload)
    scanner = _core.RecordScanner()
    found = [item for at in range(0, len(record), 999) for item in scanner.feed(record[at : at + 999])[0]]
    assert found == [(Kind.SOURCE, 0, 0, 0, payload)]


def test_the_scanner_takes_bytes_only() -> None:
    with pytest.raises(TypeError):
        _core.RecordScanner().feed("text")


def test_every_kind_has_its_name() -> None:
    assert list(KIND_NAMES) == list(range(16))
    assert KIND_NAMES[Kind.CALLED_BACK] == "called-back"
