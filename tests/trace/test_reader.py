"""A trace read back: what was written is there, while it is written and afterwards."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from retroscope.trace import DamagedTrace, Kind, NoTrace, WrongPython, open_trace
from retroscope.trace.encoding import encode_value
from retroscope.trace.stream import encode_record

from tests.trace.making import FACTS, RECORDING, SOURCE, begin, make_trace, sample_records, source_record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.db"


def test_facts(path: Path) -> None:
    stream = make_trace(path)
    with open_trace(path) as trace:
        assert trace.state == "complete"
        assert trace.reason is None
        assert trace.meta == RECORDING
        (process,) = trace.processes()
        assert process == trace.process(1)
        assert (process.pid, process.parent, process.argv) == (4711, None, ("app.py", "--verbose"))
        assert (process.ended, process.number, process.finished) == ("exited", 3, FACTS["finished"])
        assert (process.records, process.length) == (len(sample_records()), len(stream))
        assert process.notes == ("the extension fastlib is not listed",)


@pytest.mark.parametrize("piece", [1 << 20, 4000, 61])
def test_the_stream_comes_back(path: Path, piece: int) -> None:
    records = sample_records(150)
    stream = make_trace(path, records, piece)
    with open_trace(path) as trace:
        assert b"".join(trace.stream(1)) == stream
        descriptor = os.memfd_create("flat", 0)
        assert trace.flat(1, descriptor) == len(stream)
        assert os.pread(descriptor, len(stream) + 1, 0) == stream
        os.close(descriptor)
        found = list(trace.records(1))
    assert [record.index for record in found] == list(range(len(records)))
    place = 0
    for record, packed in zip(found, records, strict=True):
        assert record.offset == place
        place += len(packed)
    assert found[0].kind == Kind.START
    assert found[0].value() == {"argv": ["app.py"], "environ": [("HOME", "/home/ada")]}
    clocks = [record.value() for record in found if record.name == "time.time" and record.kind == Kind.RESULT]
    assert clocks == [1795000000.0 + i * 0.37 for i in range(150)]
    assert found[-1].kind_name == "end"


@pytest.mark.parametrize("piece", [4000, 61])
def test_reading_may_begin_at_any_record(path: Path, piece: int) -> None:
    count = len(sample_records(80))
    make_trace(path, sample_records(80), piece)
    with open_trace(path) as trace:
        offsets = [record.offset for record in trace.records(1)]
        for first in range(count):
            record = next(trace.records(1, first))
            assert (record.index, record.offset) == (first, offsets[first])
        assert list(trace.records(1, count)) == []
        assert list(trace.records(1, count + 1000)) == []


def test_output_and_turns(path: Path) -> None:
    make_trace(path)
    with open_trace(path) as trace:
        output = list(trace.output(1))
        assert [(each.descriptor, each.data) for each in output] == [
            (1 + i % 2, b"line %d\n" % i) for i in range(0, 500, 7)
        ]
        records = {record.index: record for record in trace.records(1)}
        assert [records[each.record].output() for each in output] == [(each.descriptor, each.data) for each in output]
        assert sum(size for _, size in trace.output_sizes(1)) == sum(len(each.data) for each in output)
        turns = list(trace.switches(1))
        assert turns == [(each.index, each.offset) for each in records.values() if each.kind == Kind.SWITCH]


def test_sources_are_kept_once_and_by_content(path: Path) -> None:
    large = b"x = 1\n" * 100_000
    files = [("/a.py", SOURCE), ("/b.py", large), ("/a.py", b"y = 2\n")]
    make_trace(path, [source_record(name, content) for name, content in files])
    with open_trace(path) as trace:
        assert [source.path for source in trace.sources()] == ["/a.py", "/b.py", "/a.py"]
        assert trace.source("/a.py") == SOURCE
        assert trace.source("/b.py") == large
        assert trace.source_content(trace.sources()[2]) == b"y = 2\n"
        with pytest.raises(KeyError):
            trace.source("/c.py")


def test_a_source_that_is_not_what_it_says_is_found(path: Path) -> None:
    make_trace(path, [encode_record(Kind.SOURCE, encode_value(("/a.py", SOURCE, bytes(16))))])
    with open_trace(path) as trace, pytest.raises(DamagedTrace, match=r"source of /a\.py"):
        trace.source("/a.py")


def test_a_growing_trace_can_be_read(path: Path) -> None:
    records = sample_records(300)
    making = begin(path)
    making.process.facts["ended"] = None
    making.writer.commit()
    with open_trace(path) as trace:
        assert trace.state == "recording"
        assert trace.process(1).ended == "running"
        assert list(trace.records(1)) == []
        for packed in records:
            making.add(packed)
        assert list(trace.records(1)) == []  # until it looks again
        trace.refresh()
        assert trace.process(1).records == len(records)
        assert b"".join(trace.stream(1)) == b"".join(records)
        assert len(list(trace.output(1))) == 43
        making.writer.close()
        trace.refresh()
        assert trace.state == "complete"


WATCH = """
import sys, time
from retroscope.trace import open_trace
most = 0
while True:
    with open_trace(sys.argv[1]) as trace:
        process = trace.process(1)
        assert process.records >= most, (process.records, most)
        most = process.records
        assert sum(1 for record in trace.records(1)) == process.records
        assert len(b"".join(trace.stream(1))) == process.length
        list(trace.output(1)), trace.callables(1), trace.sources()
        if trace.state != "recording":
            print(trace.state, most)
            break
"""


def test_readers_are_never_disturbed_by_the_writer(path: Path) -> None:
    making = begin(path)
    making.writer.commit()
    with subprocess.Popen([sys.executable, "-c", WATCH, path], stdout=subprocess.PIPE, text=True) as watcher:
        for packed in sample_records(2500):
            making.add(packed)
        making.writer.close()
        answer, _ = watcher.communicate(timeout=60)
    assert watcher.returncode == 0
    assert answer.split() == ["complete", str(making.process.records)]


def test_a_record_that_is_not_whole_yet_is_not_shown(path: Path) -> None:
    making = begin(path)
    whole = encode_record(Kind.RESULT, encode_value("whole"), callable=1)
    large = encode_record(Kind.RESULT, encode_value(b"large" * 100_000), callable=1, output=(1, b"never"))
    making.add(whole + large[:300_000])
    with open_trace(path) as trace:
        assert [record.value() for record in trace.records(1)] == ["whole"]
        assert (trace.process(1).length, trace.process(1).records) == (len(whole), 1)
        assert list(trace.output(1)) == []
    making.add(large[300_000:])
    with open_trace(path) as trace:
        assert [record.value() for record in trace.records(1)] == ["whole", b"large" * 100_000]
        assert [each.data for each in trace.output(1)] == [b"never"]
    making.writer.close()


def test_what_was_committed_survives_the_writer(path: Path) -> None:
    child = os.fork()
    if child == 0:
        making = begin(path, ended=None)
        making.add(b"".join(sample_records(100)))
        making.process.append(encode_record(Kind.RESULT, b"N"))
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    with open_trace(path) as trace:
        assert trace.state == "cut off"
        assert trace.process(1).ended == "lost"
        assert len(list(trace.records(1))) == len(sample_records(100))


def test_nothing_is_left_beside_a_trace(path: Path) -> None:
    make_trace(path)
    with open_trace(path) as trace:
        list(trace.records(1))
    assert os.listdir(path.parent) == ["trace.db"]


def test_a_finished_trace_is_compact(path: Path) -> None:
    make_trace(path)
    status = path.stat()
    assert status.st_size <= 120_000
    assert status.st_blocks * 512 <= status.st_size + 4096
    assert stat.S_IMODE(status.st_mode) == 0o600  # it may hold secrets


def test_a_trace_in_a_read_only_directory_opens(path: Path) -> None:
    make_trace(path)
    with open_trace(path) as trace:
        expected = len(list(trace.records(1)))  # and what reading imports is imported
    path.chmod(0o444)
    path.parent.chmod(0o555)
    inside = os.open(path.parent, os.O_RDONLY)  # folders above may be closed to other users
    child = os.fork()
    if child == 0:
        os.fchdir(inside)
        if os.getuid() == 0:
            os.setuid(65534)
        with open_trace(path.name) as trace:
            os._exit(0 if len(list(trace.records(1))) == expected and not os.access(".", os.W_OK) else 1)
    assert os.waitpid(child, 0)[1] == 0
    os.close(inside)
    path.parent.chmod(0o755)
    assert os.listdir(path.parent) == [path.name]


def test_the_python_of_the_trace_is_asked_for(path: Path) -> None:
    make_trace(path)
    with open_trace(path) as trace:
        trace.meta["python"] = "3.10.2"
        with pytest.raises(WrongPython, match=r"recorded by Python 3\.10"):
            trace.require_python()
        trace.meta["python"] = "{}.{}.99".format(*sys.version_info[:2])
        trace.require_python()


@pytest.mark.parametrize("name", ["absent.db", ".", "fifo", "nul\0"])
def test_what_is_no_file_is_the_users_mistake(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(NoTrace) as caught:
        open_trace(str(tmp_path) + "/" + name)
    assert caught.value.status == 1
