"""The drain, fed by a producer in plain Python in another process."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from retroscope.recorder._core import RingConsumer
from retroscope.recorder.drain import Drain
from retroscope.recorder.spawn import make_ring
from retroscope.trace import open_trace
from retroscope.trace.claim import Claim
from retroscope.trace.encoding import encode_value
from retroscope.trace.stream import Kind, encode_record

from tests.recorder.ring_producer import RingProducer
from tests.trace.making import FACTS, RECORDING

Program = Callable[[RingProducer], None]


def clock(i: int) -> bytes:
    return encode_record(Kind.RESULT, encode_value(float(i)), callable=1, digest=i * 2654435761 % 2**32)


def incompressible(size: int) -> bytes:
    return encode_record(Kind.RESULT, encode_value(os.urandom(size)), callable=2)


class Recording:
    """A drain in this process and a producer in a child."""

    def __init__(self, path: Path, program: Program) -> None:
        ring = make_ring()
        self.consumer = RingConsumer(ring)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                program(RingProducer(ring))
                os._exit(0)
            finally:
                os._exit(99)
        os.close(ring)
        self.drain = Drain(self.consumer, Claim(str(path)), RECORDING, {**FACTS, "ended": None, "pid": self.pid})

    def run(self) -> None:
        program = os.pidfd_open(self.pid)
        self.drain.run(program, lambda: None)
        os.close(program)
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.drain.finish("exited" if status >= 0 else "signal", abs(status))


def record(path: Path, program: Program) -> Drain:
    recording = Recording(path, program)
    recording.run()
    return recording.drain


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.db"


def test_everything_arrives_in_order(path: Path) -> None:
    count = 60_000

    def program(ring: RingProducer) -> None:
        for start in range(0, count, 1000):
            ring.write(b"".join(clock(i) for i in range(start, start + 1000)))
        ring.close()

    drain = record(path, program)
    assert drain.stopped is None
    with open_trace(path) as trace:
        assert trace.state == "complete"
        assert (trace.process(1).ended, trace.process(1).number) == ("exited", 0)
        assert b"".join(trace.stream(1)) == b"".join(map(clock, range(count)))
        assert trace.process(1).records == count


def test_more_than_the_ring_holds(path: Path) -> None:
    def program(ring: RingProducer) -> None:
        for i in range(40):
            ring.write(encode_record(Kind.RESULT, encode_value(bytes([i]) * (1 << 20))))

    record(path, program)
    with open_trace(path) as trace:
        for i, found in enumerate(trace.records(1)):
            assert found.value() == bytes([i]) * (1 << 20)
        assert trace.process(1).records == 40
        assert trace.size < 1 << 20


def test_a_record_larger_than_the_ring(path: Path) -> None:
    content = os.urandom(1 << 20) * 20

    def program(ring: RingProducer) -> None:
        ring.write(encode_record(Kind.RESULT, encode_value(content)))
        ring.write(clock(1))

    record(path, program)
    with open_trace(path) as trace:
        assert [found.value() for found in trace.records(1)] == [content, 1.0]


def test_what_was_complete_survives_a_kill(path: Path) -> None:
    def program(ring: RingProducer) -> None:
        for i in range(500):
            ring.write(clock(i))
        ring.write(clock(500)[:15], complete=False)
        os.kill(os.getpid(), signal.SIGKILL)

    record(path, program)
    with open_trace(path) as trace:
        assert trace.state == "complete"
        assert (trace.process(1).ended, trace.process(1).number) == ("signal", 9)
        assert [found.value() for found in trace.records(1)] == list(map(float, range(500)))


def test_a_producer_that_gave_up_is_told(path: Path) -> None:
    def program(ring: RingProducer) -> None:
        ring.write(clock(1))
        ring.put(80, 3)

    record(path, program)
    with open_trace(path) as trace:
        assert trace.process(1).stopped == "the recorder inside the program gave up"


@pytest.mark.alone
def test_a_running_recording_is_readable_within_a_second(path: Path) -> None:
    ready, go = os.pipe()

    def program(ring: RingProducer) -> None:
        for i in range(10):
            ring.write(clock(i))
        os.read(ready, 1)

    def look() -> None:
        recording = Recording(path, program)
        watcher = os.fork()
        if watcher == 0:
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline:
                with open_trace(path) as trace:
                    if trace.process(1).records == 10 and trace.state == "recording":
                        os.write(go, b"1")
                        os._exit(0)
                time.sleep(0.02)
            os.write(go, b"0")
            os._exit(1)
        recording.run()
        assert os.waitpid(watcher, 0)[1] == 0

    look()


@pytest.mark.alone
def test_waiting_costs_almost_nothing(path: Path) -> None:
    before = time.process_time()
    record(path, lambda ring: time.sleep(2))
    assert time.process_time() - before < 0.15


@pytest.mark.alone
@pytest.mark.parametrize("records", [0, 1])
def test_short_programs_end_at_once(path: Path, records: int) -> None:
    record(path, lambda ring: None)  # imports done
    begin = time.monotonic()
    record(path, lambda ring: [ring.write(clock(i)) for i in range(records)] and None)
    assert time.monotonic() - begin < 0.1


# --- storage that fails


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 3 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill_and_go_on(ring: RingProducer) -> None:
    """Records 20 MB that do not compress, then goes on as the recorder does when nothing more is taken."""
    written = 0
    while written < 200 and ring.write(incompressible(100_000)):
        written += 1
    assert written < 200
    os._exit(7)


def check_stopped(drain: Drain, path: Path, reason: str, said: str) -> None:
    assert drain.stopped == reason
    assert said == f"scope: recording stopped: {reason}; the program goes on, and the trace is good up to here\n"
    with open_trace(path) as trace:
        assert (trace.state, trace.reason) == ("stopped", reason)
        process = trace.process(1)
        assert process.stopped == reason
        found = list(trace.records(1))
        assert len(found) == process.records > 5
        assert all(len(each.value()) == 100_000 for each in found)  # type: ignore[arg-type]


def test_a_full_disk(small_disk: Path, capfd: pytest.CaptureFixture[str]) -> None:
    drain = record(small_disk / "trace.db", fill_and_go_on)
    check_stopped(drain, small_disk / "trace.db", "the disk is full", capfd.readouterr().err)
    assert os.listdir(small_disk) == ["trace.db"]


def test_a_disk_that_is_full_from_the_beginning(small_disk: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (small_disk / "other").write_bytes(bytes((3 << 20) - (20 << 10)))
    drain = record(small_disk / "trace.db", fill_and_go_on)
    assert drain.nothing_stored
    assert "recording stopped: the disk is full; the program goes on, and no trace was made" in capfd.readouterr().err
    assert os.listdir(small_disk) == ["other"]


def test_a_limit_on_file_size(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, limits[1]))
    try:
        drain = record(path, fill_and_go_on)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    check_stopped(drain, path, "file too large", capfd.readouterr().err)


DRAIN_AND_DIE = """
import os, sys, threading, time
from pathlib import Path
from tests.recorder.test_drain import Recording, clock

def program(ring):
    i = 0
    while ring.write(clock(i)):
        i += 1
        time.sleep(0.001)

recording = Recording(Path(sys.argv[1]), program)
print(recording.pid, flush=True)
threading.Timer(1.5, lambda: os.kill(os.getpid(), 9)).start()
recording.run()
"""


def test_a_killed_drain_leaves_a_readable_trace(path: Path) -> None:
    drain = subprocess.Popen([sys.executable, "-c", DRAIN_AND_DIE, path], stdout=subprocess.PIPE, text=True)
    assert drain.stdout is not None
    producer = int(drain.stdout.readline())
    assert drain.wait(timeout=30) == -9
    drain.stdout.close()
    os.kill(producer, signal.SIGKILL)
    with open_trace(path) as trace:
        assert trace.state == "cut off"
        assert trace.process(1).ended == "lost"
        assert [found.value() for found in trace.records(1)] == list(map(float, range(trace.process(1).records)))
        assert trace.process(1).records > 100


def test_a_recorder_that_never_started_is_told(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    record(path, lambda ring: ring.put(80, 0))
    assert capfd.readouterr().err == (
        "scope: the recorder did not start inside the program, so nothing was recorded\n"
    )
    with open_trace(path) as trace:
        assert trace.process(1).stopped == "the recorder inside the program did not start"


def test_little_address_space(path: Path) -> None:
    """As under `ulimit -v`: the ring and the file's map fit beside the interpreter."""
    child = os.fork()
    if child == 0:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
        limit = used + (400 << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        drain = record(path, lambda ring: [ring.write(incompressible(500_000)) for _ in range(60)] and None)
        os._exit(0 if drain.stopped is None else 1)
    assert os.waitpid(child, 0)[1] == 0
    with open_trace(path) as trace:
        assert trace.process(1).records == 60
