"""Reading LMDB's pages without LMDB, against LMDB itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from retroscope.trace.errors import NotATrace, TraceError
from retroscope.trace.pages import PageFile

Contents = dict[bytes, dict[bytes, bytes]]
CONTENTS = st.dictionaries(
    st.text("abcxyz/_", min_size=1, max_size=30).map(str.encode),
    st.dictionaries(st.binary(min_size=1, max_size=500), st.integers(0, 20000).map(os.urandom), max_size=30),
    min_size=1,
    max_size=5,
)


def write(path: Path, contents: Contents, step: int = 7) -> None:
    """By LMDB, in several transactions, so that pages are freed and used again."""
    with lmdb.open(str(path), subdir=False, lock=False, max_dbs=10, map_size=1 << 30, sync=False) as environment:
        for name, entries in contents.items():
            database = environment.open_db(name)
            items = list(entries.items())
            for start in range(0, len(items), step):
                with environment.begin(write=True, db=database) as transaction:
                    for key, value in items[start : start + step]:
                        transaction.put(key, b"to be replaced" + value)
                with environment.begin(write=True, db=database) as transaction:
                    for key, value in items[start : start + step]:
                        transaction.put(key, value)


def read(path: Path, names: list[bytes]) -> Contents:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        pages = PageFile(descriptor, str(path))
        assert pages.names() == set(names)
        return {name: pages.table(name) for name in names}
    finally:
        os.close(descriptor)


SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


@settings(max_examples=40, deadline=None, suppress_health_check=SLOW)
@given(CONTENTS)
def test_it_reads_what_lmdb_wrote(tmp_path: Path, contents: Contents) -> None:
    path = tmp_path / "any.db"
    path.unlink(missing_ok=True)
    write(path, contents)
    assert read(path, list(contents)) == contents


def test_it_reads_deep_trees_in_order(tmp_path: Path) -> None:
    contents = {b"many": {b"%09d" % (i * 7919 % 30011): b"value %d" % i for i in range(30000)}, b"none": {}}
    write(tmp_path / "deep.db", contents, step=5000)
    found = read(tmp_path / "deep.db", [b"many", b"none"])
    assert found == contents
    assert list(found[b"many"]) == sorted(contents[b"many"])


def overflow(environment: lmdb.Environment) -> None:
    with environment.begin(write=True) as transaction:
        transaction.put(b"plain", b"value without a table")


def duplicates(environment: lmdb.Environment) -> None:
    database = environment.open_db(b"meta", dupsort=True)
    with environment.begin(write=True, db=database) as transaction:
        for i in range(10):
            transaction.put(b"format", b"%d" % i)


@pytest.mark.parametrize("fill", [overflow, duplicates])
def test_databases_of_others_are_told_apart(tmp_path: Path, fill: Callable[[lmdb.Environment], None]) -> None:
    with lmdb.open(str(tmp_path / "other.db"), subdir=False, max_dbs=5) as environment:
        fill(environment)
    descriptor = os.open(tmp_path / "other.db", os.O_RDONLY)
    with pytest.raises(NotATrace):
        PageFile(descriptor, "other.db").table(b"meta")
    os.close(descriptor)


def test_a_page_that_points_at_itself_ends(tmp_path: Path) -> None:
    contents = {b"many": {b"%09d" % i: b"x" * 50 for i in range(5000)}}
    write(tmp_path / "loop.db", contents, step=5000)
    data = bytearray((tmp_path / "loop.db").read_bytes())
    branches = [page for page in range(2, len(data) // 4096) if data[page * 4096 + 10] == 1]
    assert branches
    for page in branches:  # every child becomes the page itself
        at = page * 4096
        for node in range((int.from_bytes(data[at + 12 : at + 14], "little") - 16) // 2):
            place = at + int.from_bytes(data[at + 16 + 2 * node : at + 18 + 2 * node], "little")
            data[place : place + 6] = page.to_bytes(6, "little")
    (tmp_path / "loop.db").write_bytes(data)
    with pytest.raises(TraceError):
        read(tmp_path / "loop.db", [b"many"])
