"""Where a new trace may be written: never over what is not a trace, never over one that is being written."""

from __future__ import annotations

import os
from pathlib import Path

import lmdb
import pytest
from retroscope.trace import BusyTrace, RefusedPath, open_trace
from retroscope.trace.claim import Claim
from retroscope.trace.writer import StorageFull

from tests.trace.making import begin, make_trace, sample_records


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.db"


def refuse(path: Path, says: str) -> None:
    before = path.read_bytes() if path.is_file() else None
    listing = os.listdir(path.parent) if path.parent.is_dir() else None
    with pytest.raises(RefusedPath, match=says) as caught:
        Claim(str(path))
    assert caught.value.status == 1
    if before is not None:
        assert path.read_bytes() == before
    assert listing is None or os.listdir(path.parent) == listing


def test_a_file_of_the_user_is_left_alone(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0 and more than a page" * 1000)
    refuse(path, "not a trace of Retroscope")


def test_a_database_of_the_user_is_left_alone(path: Path) -> None:
    with lmdb.open(str(path), subdir=False, lock=False) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"mine", b"precious")
    refuse(path, "not a trace of Retroscope")


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    refuse(tmp_path, "is not a regular file")
    os.mkfifo(tmp_path / "fifo")
    refuse(tmp_path / "fifo", "is not a regular file")
    refuse(tmp_path / "absent" / "trace.db", "no such file or directory")
    (tmp_path / "file").write_text("x")
    refuse(tmp_path / "file" / "trace.db", "not a directory")


def test_an_empty_file_and_an_older_trace_are_replaced(path: Path) -> None:
    path.touch()
    make_trace(path, sample_records(10))
    stream = make_trace(path, sample_records(20))
    with open_trace(path) as trace:
        assert b"".join(trace.stream(1)) == stream


def test_the_older_trace_stays_until_the_first_commit(path: Path) -> None:
    old = make_trace(path, sample_records(10))
    making = begin(path)
    with open_trace(path) as trace:
        assert b"".join(trace.stream(1)) == old
        making.writer.commit()
        assert b"".join(trace.stream(1)) == old  # whoever has it open keeps it
    making.add(b"".join(sample_records(20)))
    making.writer.close()
    with open_trace(path) as trace:
        assert b"".join(trace.stream(1)) == making.stream


def test_a_trace_that_is_being_written_is_refused(path: Path) -> None:
    making = begin(path)
    making.writer.commit()
    with pytest.raises(BusyTrace, match="another recording"):
        Claim(str(path))
    making.writer.close()
    Claim(str(path)).release()


def test_a_claim_that_comes_to_nothing_leaves_nothing(path: Path) -> None:
    claim = Claim(str(path))
    assert len(os.listdir(path.parent)) == 1
    claim.release()
    claim.release()
    assert os.listdir(path.parent) == []


def test_a_link_leads_to_the_trace(path: Path) -> None:
    real = path.parent / "real.db"
    make_trace(real, sample_records(5))
    path.symlink_to(real)
    make_trace(path, sample_records(6))
    assert path.is_symlink()
    with open_trace(real) as trace:
        assert trace.process(1).records == len(sample_records(6))


def test_of_two_that_begin_together_the_first_keeps_the_name(path: Path) -> None:
    first, second = begin(path), begin(path)
    first.writer.commit()
    with pytest.raises(StorageFull, match="another recording"):
        second.writer.commit()
    second.writer.close(stopped="no place")
    first.add(b"".join(sample_records(5)))
    first.writer.close()
    assert os.listdir(path.parent) == ["trace.db"]
    with open_trace(path) as trace:
        assert b"".join(trace.stream(1)) == first.stream


def test_a_folder_that_vanishes_is_a_storage_failure(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    making = begin(tmp_path / "folder" / "trace.db")
    os.rename(tmp_path / "folder", tmp_path / "moved")
    with pytest.raises(StorageFull, match="No such file or directory"):
        making.writer.commit()
    making.writer.close(stopped="gone")
