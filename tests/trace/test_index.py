"""The index in a trace: what is written is read, the trace stays what it was, and damage is said, never believed."""

from __future__ import annotations

import random
import re
import resource
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from retroscope.trace import DamagedTrace, open_trace
from retroscope.trace.index_layout import INDEX_META, INDEX_VERSION
from retroscope.trace.index_reader import UnusableIndex, open_index
from retroscope.trace.index_writer import IndexRefused, IndexWriter, StorageFull, delete_index
from retroscope.trace.pages import PageFile
from retroscope.trace.whole_pages import check_whole

from tests.trace import indexing, reading
from tests.trace.indexing import BLOCKS, TICKS, digest, new_block, write_index
from tests.trace.making import begin, make_trace, sample_records
from tests.trace.test_damage import interesting

FILES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    make_trace(tmp_path / "trace.db", sample_records(60), piece=900)
    return tmp_path / "trace.db"


def is_whole(path: Path) -> bool:
    with path.open("rb") as file:
        check_whole(PageFile(file.fileno(), str(path)))
    return True


def test_what_is_written_is_read_and_the_trace_is_what_it_was(trace: Path) -> None:
    before = reading.everything(str(trace))
    assert open_index(str(trace), 1) is None
    write_index(str(trace))
    index = open_index(str(trace), 1)
    assert index is not None
    assert index.complete
    assert index.ticks == BLOCKS * TICKS
    for number in range(BLOCKS):
        block = new_block(number)
        entry = index.entries[number]
        assert (entry.first, entry.last) == (block.first, block.first + TICKS - 1)
        assert index.block(number) == block.data
        assert bytes(entry.keys) == block.keys
        assert entry.may_hold(7)
        assert entry.may_hold(number)
        assert not entry.may_hold(BLOCKS + 1)
        assert index.at(block.first) == index.at(block.first + TICKS - 1) == number
    assert index.at(0) is None
    assert index.at(BLOCKS * TICKS + 1) is None
    index.close()
    assert reading.everything(str(trace)) == before
    assert is_whole(trace)


def test_an_index_can_be_taken_out_and_its_room_is_used_again(trace: Path) -> None:
    write_index(str(trace))
    first, size = digest(str(trace)), trace.stat().st_size
    for _ in range(5):
        writer = IndexWriter(str(trace))
        writer.forget(1)
        writer.close()
        assert digest(str(trace)) == "none"
        write_index(str(trace))
        assert digest(str(trace)) == first
    assert trace.stat().st_size < 2 * size
    assert is_whole(trace)


def test_it_is_read_while_it_grows(trace: Path) -> None:
    before = reading.everything(str(trace))
    writer = IndexWriter(str(trace))
    for number in range(40):
        writer.add(1, [new_block(number)], {"complete": False})
        index = open_index(str(trace), 1)
        assert index is not None
        assert not index.complete
        assert [entry.first for entry in index.entries] == [new_block(each).first for each in range(number + 1)]
        assert index.block(number // 2) == new_block(number // 2).data
        index.close()
        assert reading.everything(str(trace)) == before
    writer.close()


def test_processes_have_their_own(trace: Path) -> None:
    write_index(str(trace), process=1, blocks=3)
    write_index(str(trace), process=2, blocks=5)
    one, two = open_index(str(trace), 1), open_index(str(trace), 2)
    assert one is not None
    assert two is not None
    assert (len(one.entries), len(two.entries)) == (3, 5)
    assert one.block(2) == two.block(2)
    one.close()
    two.close()


def test_only_one_writes_and_none_while_it_is_recorded(trace: Path, tmp_path: Path) -> None:
    writer = IndexWriter(str(trace))
    with pytest.raises(IndexRefused, match="another process is writing its index"):
        IndexWriter(str(trace))
    with open_trace(trace) as reader:
        assert reader.state == "complete"
    writer.close()
    IndexWriter(str(trace)).close()
    making = begin(tmp_path / "growing.db")
    making.add(b"".join(sample_records(5)))
    with pytest.raises(IndexRefused, match="still being recorded"):
        IndexWriter(str(tmp_path / "growing.db"))
    making.writer.close()


def test_a_file_that_cannot_be_written_is_refused_in_a_sentence(trace: Path, tmp_path: Path) -> None:
    with pytest.raises(IndexRefused, match="it cannot be written"):
        IndexWriter(str(tmp_path))
    with pytest.raises(IndexRefused, match="it cannot be written"):
        IndexWriter(str(tmp_path / "missing.db"))


def test_killed_in_the_middle_the_trace_is_good_and_the_index_as_far_as_it_came(trace: Path) -> None:
    before = reading.everything(str(trace))
    for _ in range(12):
        process = subprocess.Popen(
            [sys.executable, indexing.__file__, str(trace)], stdout=subprocess.PIPE, text=True
        )  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(random.uniform(0, 0.03))
        process.kill()
        process.communicate()
        assert reading.everything(str(trace)) == before
        assert is_whole(trace)
        index = open_index(str(trace), 1)
        for number, entry in enumerate(index.entries if index else ()):
            assert index is not None
            assert (entry.first, index.block(number)) == (new_block(number).first, new_block(number).data)
        if index:
            index.close()
    write_index(str(trace))
    assert reading.everything(str(trace)) == before


def test_a_full_disk_ends_the_index_and_leaves_what_was_there(trace: Path) -> None:
    before = reading.everything(str(trace))
    writer = IndexWriter(str(trace))
    was = resource.getrlimit(resource.RLIMIT_FSIZE)
    done = 0
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (trace.stat().st_size + (1 << 20), was[1]))
        with pytest.raises(StorageFull):
            for number in range(1000):
                writer.add(1, [new_block(number)], {"complete": False})
                done += 1
        writer.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, was)
    assert reading.everything(str(trace)) == before
    assert is_whole(trace)
    index = open_index(str(trace), 1)
    assert index is not None
    assert len(index.entries) == done
    index.close()


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("indexed") / "trace.db"
    make_trace(path, sample_records(60), piece=900)
    write_index(str(path))
    return path


@pytest.fixture(scope="module")
def indexer() -> Iterator[subprocess.Popen[str]]:
    """`indexing.py` in a process of its own: a crash is a crash there."""
    process = subprocess.Popen(
        [sys.executable, indexing.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    yield process
    process.kill()
    process.communicate()


def ask(process: subprocess.Popen[str], path: Path) -> list[str]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{path}\n")
    process.stdin.flush()
    answer = process.stdout.readline().split()
    assert answer, f"it died, status {process.wait()}"
    return answer


@FILES
@given(st.data())
def test_a_flipped_byte_is_found_or_has_no_effect(
    indexed: Path, indexer: subprocess.Popen[str], tmp_path: Path, data: st.DataObject
) -> None:
    whole = indexed.read_bytes()
    expected = digest(str(indexed))
    at = data.draw(st.sampled_from(interesting(whole)))
    damaged = bytearray(whole)
    damaged[at] ^= data.draw(st.integers(1, 255))
    (tmp_path / "damaged.db").write_bytes(damaged)
    read, written = ask(indexer, tmp_path / "damaged.db")
    assert read in (expected, "unusable", "DamagedTrace", "NotATrace"), (at, read)
    assert written in (expected, "IndexRefused", "DamagedTrace", "NotATrace", "FutureTrace", "OldTrace"), (at, written)


def test_a_flipped_bit_near_the_names_of_the_tables_is_found_or_has_no_effect(
    indexed: Path, indexer: subprocess.Popen[str], tmp_path: Path
) -> None:
    """There stand the tables' roots and counts, and keys, over which nobody keeps a checksum: a wrong root may lead
    to a whole table of some commits ago. A new index mends all."""
    whole, expected = indexed.read_bytes(), digest(str(indexed))
    with indexed.open("rb") as file:
        newest = PageFile(file.fileno(), str(indexed)).snapshots()[0]
    start = newest.main.root * newest.page_size
    page = whole[start : start + newest.page_size]
    names = [start + match.start() for match in re.finditer(rb"index/(meta|blocks|keys)", page)]
    assert len(names) == 3
    for at in sorted({at for name in names for at in range(name - 8, name + 72)}):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[at] ^= 1 << bit
            (tmp_path / "damaged.db").write_bytes(damaged)
            read, written = ask(indexer, tmp_path / "damaged.db")
            assert read in (expected, "unusable", "DamagedTrace", "NotATrace"), (at, bit)
            assert written in (expected, "IndexRefused", "DamagedTrace", "NotATrace"), (at, bit)


def test_an_index_of_another_version_is_not_used(trace: Path) -> None:
    write_index(str(trace))
    writer = IndexWriter(str(trace))
    table, key, body = writer._facts(1, {}, 0)
    assert table == INDEX_META
    other = body.replace(struct.pack("<q", INDEX_VERSION), struct.pack("<q", 99))
    writer._store.commit([(table, key, other)], writer._state)
    writer.close()
    with pytest.raises(UnusableIndex, match="its version is 99"):
        open_index(str(trace), 1)
    with open_trace(trace) as reader:
        assert reader.state == "complete"


def test_a_page_marked_as_being_written_is_refused(trace: Path, tmp_path: Path) -> None:
    """LMDB would write to such a page where it is mapped for reading only, and crash."""
    data = trace.read_bytes()
    with trace.open("rb") as file:
        pages = PageFile(file.fileno(), str(trace))
        snapshot = pages.snapshots()[0]
        root = snapshot.main.root * snapshot.page_size
    forged = bytearray(data)
    forged[root + 10] |= 0x10
    (tmp_path / "forged.db").write_bytes(forged)
    with open_trace(tmp_path / "forged.db"):
        pass
    with pytest.raises(DamagedTrace):
        IndexWriter(str(tmp_path / "forged.db"))


def test_a_list_of_free_pages_that_names_used_ones_is_refused(trace: Path) -> None:
    """LMDB would overwrite them."""
    write_index(str(trace))
    with trace.open("rb") as file:
        pages = PageFile(file.fileno(), str(trace))
        snapshot = pages.snapshots()[0]
    data = bytearray(trace.read_bytes())
    at = snapshot.free.root * snapshot.page_size
    assert struct.unpack_from("<QHH", data, at)[2] == 2
    (node,) = struct.unpack_from("<H", data, at + 16)
    place = at + node + 8 + 8 + 8
    struct.pack_into("<Q", data, place, snapshot.main.root)
    trace.write_bytes(data)
    with pytest.raises(DamagedTrace):
        IndexWriter(str(trace))


def test_deleting_gives_the_room_back(trace: Path) -> None:
    before, size = reading.everything(str(trace)), trace.stat().st_size
    write_index(str(trace), blocks=40)
    assert trace.stat().st_size > 2 * size
    trace.chmod(0o640)
    reader = open_trace(trace)
    delete_index(str(trace))
    assert trace.stat().st_size <= size + 8 * 4096
    assert trace.stat().st_mode & 0o777 == 0o640
    assert digest(str(trace)) == "none"
    assert reading.everything(str(trace)) == before
    assert len(list(reader.records(1))) > 60
    assert is_whole(trace)
    assert [path.name for path in trace.parent.iterdir()] == ["trace.db"]
    reader.close()
    write_index(str(trace))
    assert reading.everything(str(trace)) == before
