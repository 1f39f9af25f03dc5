"""Damaged and foreign files: one sentence, never a crash, and never something else shown as the recording."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from retroscope.trace import DamagedTrace, FutureTrace, NotATrace, TraceError, open_trace
from retroscope.trace.layout import FORMAT, FORMAT_MAGIC, KEY_FORMAT, META, frame

from tests.trace import reading
from tests.trace.making import begin, make_trace, sample_records

FILES = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class ReadingProcess:
    """`reading.py` in a process of its own: a crash of the reader is a crash there."""

    def __init__(self) -> None:
        command = [sys.executable, reading.__file__]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, path: Path) -> str:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        assert answer, f"the reader died, status {self.process.wait()}"
        return answer


@pytest.fixture(scope="module")
def reader() -> Iterator[ReadingProcess]:
    reading_process = ReadingProcess()
    yield reading_process
    reading_process.process.kill()
    reading_process.process.communicate()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small trace with all kinds of tables and several chunks."""
    path = tmp_path_factory.mktemp("whole") / "trace.db"
    make_trace(path, sample_records(60), piece=900)
    return path


def is_clean(answer: str, expected: str) -> bool:
    return answer in (f"ok {expected}", "DamagedTrace", "NotATrace", "FutureTrace", "OldTrace")


def interesting(data: bytes) -> list[int]:
    """Offsets that are not in the middle of nothing but zeros."""
    return [i for i in range(len(data)) if any(data[max(0, i - 8) : i + 8])]


@FILES
@given(st.data())
def test_a_flipped_byte_is_found_or_has_no_effect(
    whole: Path, reader: ReadingProcess, tmp_path: Path, data: st.DataObject
) -> None:
    expected = reading.everything(str(whole))
    damaged = bytearray(whole.read_bytes())
    at = data.draw(st.sampled_from(interesting(bytes(damaged))))
    damaged[at] ^= data.draw(st.integers(1, 255))
    (tmp_path / "damaged.db").write_bytes(damaged)
    answer = reader.ask(tmp_path / "damaged.db")
    assert is_clean(answer, expected), (at, answer)


def cut_off(folder: Path) -> Path:
    """A trace whose writer died."""
    child = os.fork()
    if child == 0:
        making = begin(folder / "cut.db", ended=None)
        for packed in sample_records(8):
            making.add(packed)
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    return folder / "cut.db"


@pytest.mark.parametrize("finished", [True, False], ids=["finished", "cut off"])
def test_every_byte_of_the_first_pages(whole: Path, reader: ReadingProcess, tmp_path: Path, finished: bool) -> None:
    path = whole if finished else cut_off(tmp_path)
    expected = reading.everything(str(path))
    original = path.read_bytes()
    for at in [*range(160), *range(4096, 4096 + 160)]:
        for change in (0x02, 0xFF):
            damaged = bytearray(original)
            damaged[at] ^= change
            (tmp_path / "damaged.db").write_bytes(damaged)
            assert is_clean(reader.ask(tmp_path / "damaged.db"), expected), at


@FILES
@given(st.data())
def test_a_truncated_trace_is_found(whole: Path, reader: ReadingProcess, tmp_path: Path, data: st.DataObject) -> None:
    original = whole.read_bytes()
    (tmp_path / "short.db").write_bytes(original[: data.draw(st.integers(0, len(original) - 1))])
    assert reader.ask(tmp_path / "short.db") in ("DamagedTrace", "NotATrace")


@FILES
@given(st.binary(min_size=1, max_size=9000))
def test_bytes_behind_the_trace_have_no_effect(
    whole: Path, reader: ReadingProcess, tmp_path: Path, more: bytes
) -> None:
    (tmp_path / "long.db").write_bytes(whole.read_bytes() + more)
    assert reader.ask(tmp_path / "long.db") == f"ok {reading.everything(str(whole))}"


@FILES
@given(st.lists(st.tuples(st.integers(2, 20), st.integers(2, 20)), min_size=1, max_size=4))
def test_pages_in_wrong_places_are_found(
    whole: Path, reader: ReadingProcess, tmp_path: Path, moves: list[tuple[int, int]]
) -> None:
    original = whole.read_bytes()
    damaged = bytearray(original)
    for source, target in moves:
        damaged[target * 4096 : target * 4096 + 4096] = original[source * 4096 : source * 4096 + 4096]
    (tmp_path / "moved.db").write_bytes(damaged)
    assert is_clean(reader.ask(tmp_path / "moved.db"), reading.everything(str(whole)))


@FILES
@given(st.data())
def test_a_run_of_damage_is_found(whole: Path, reader: ReadingProcess, tmp_path: Path, data: st.DataObject) -> None:
    damaged = bytearray(whole.read_bytes())
    junk = data.draw(st.binary(min_size=1, max_size=5000))
    at = data.draw(st.integers(0, len(damaged) - len(junk)))
    damaged[at : at + len(junk)] = junk
    (tmp_path / "junk.db").write_bytes(damaged)
    assert is_clean(reader.ask(tmp_path / "junk.db"), reading.everything(str(whole)))


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "empty"), (b"text\n", "too short"), (b"import time\n" * 1000, "no LMDB"), (bytes(100_000), "no LMDB")],
)
def test_other_files_are_no_traces(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "other.db").write_bytes(content)
    with pytest.raises(NotATrace, match=says) as caught:
        open_trace(tmp_path / "other.db")
    assert caught.value.status == 4
    assert str(tmp_path / "other.db") in str(caught.value)


@pytest.mark.parametrize("tables", [[], [b"meta"], [b"users", b"orders"]])
def test_other_lmdb_databases_are_no_traces(tmp_path: Path, tables: list[bytes]) -> None:
    with lmdb.open(str(tmp_path / "other.db"), subdir=False, lock=False, max_dbs=5) as environment:
        for name in tables:
            database = environment.open_db(name)
            with environment.begin(write=True, db=database) as transaction:
                transaction.put(b"key", b"value")
    with pytest.raises(NotATrace):
        open_trace(tmp_path / "other.db")


def rewrite(path: Path, key: bytes, stored: bytes) -> None:
    with lmdb.open(str(path), subdir=False, lock=False, max_dbs=20) as environment:
        database = environment.open_db(META)
        with environment.begin(write=True, db=database) as transaction:
            transaction.put(key, stored)


def test_a_trace_from_the_future_says_so(tmp_path: Path) -> None:
    make_trace(tmp_path / "new.db")
    rewrite(tmp_path / "new.db", KEY_FORMAT, frame(META, KEY_FORMAT, FORMAT.pack(FORMAT_MAGIC, 99)))
    with pytest.raises(FutureTrace, match="trace version 99"):
        open_trace(tmp_path / "new.db")


def test_a_commit_of_someone_else_is_found(tmp_path: Path) -> None:
    make_trace(tmp_path / "changed.db")
    rewrite(tmp_path / "changed.db", b"note", b"not ours")
    with pytest.raises(DamagedTrace, match="newest commit"):
        open_trace(tmp_path / "changed.db")


def test_every_error_is_a_trace_error_of_one_sentence() -> None:
    import retroscope.trace.errors as errors

    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]
    assert len(classes) >= 8
    classes.remove(errors.RetroscopeError)  # the base, of other errors too
    assert all(issubclass(each, TraceError) for each in classes)
    assert {each.status for each in classes} == {1, 4}
