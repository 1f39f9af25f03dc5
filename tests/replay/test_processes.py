"""The processes behind a timeline: they end with it, also when it is killed, and one that dies is replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from retroscope.replay.moments import ReplayError
from retroscope.replay.snapshot_memory import default_budget
from retroscope.replay.timeline import Breakpoint, StopReason, Tick, Timeline

from tests.replay.conftest import PROGRAMS, SCOPE, Recorder


def session_of(pid: int) -> int:
    """The session that the root replay process began; all its forks are in it. 0: the process is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if fields[0] == "Z" else int(fields[3])


def members(session: int) -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and session_of(int(name)) == session]


def wait_until_gone(session: int) -> None:
    deadline = time.monotonic() + 10
    while members(session):
        assert time.monotonic() < deadline, f"{members(session)} survived"
        time.sleep(0.05)


def root_of(timeline: Timeline) -> int:
    return next(iter(timeline._motion.snapshots)).pid


@pytest.fixture
def long_run(recorded: Recorder) -> Path:
    return recorded("long")


def test_close_ends_every_process(long_run: Path) -> None:
    with Timeline.open(long_run) as timeline:
        timeline.goto_end()
        timeline.reverse_step()
        timeline.evaluate("1 + 1")
        session = session_of(root_of(timeline))
        assert len(members(session)) > 5
    wait_until_gone(session)


def test_a_killed_controller_leaves_nothing_behind(long_run: Path) -> None:
    script = (
        "import sys, time\n"
        "from retroscope.replay.timeline import Timeline\n"
        "timeline = Timeline.open(sys.argv[1])\n"
        "timeline.goto_end(); timeline.reverse_step(); timeline.stack()\n"
        "print(next(iter(timeline._motion.snapshots)).pid, flush=True)\n"
        'timeline.evaluate(\'__import__("_thread").allocate_lock().acquire() and '
        '[lock.acquire() and lock.acquire() for lock in [__import__("_thread").allocate_lock()]]\')\n'
    )
    child = subprocess.Popen([sys.executable, "-c", script, str(long_run)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    session = session_of(int(child.stdout.readline()))
    assert session
    time.sleep(0.3)  # the evaluation waits for ever in C code now
    child.kill()
    child.wait()
    child.stdout.close()
    wait_until_gone(session)


def test_processes_that_are_killed_are_replaced(long_run: Path) -> None:
    with Timeline.open(long_run) as timeline:
        timeline.goto_end()
        last = timeline.last_tick
        assert last is not None
        middle = timeline.goto(Tick(last // 2))
        frame = timeline.stack()[0]
        for process in timeline._motion.snapshots:
            os.kill(process.pid, signal.SIGKILL)
        assert timeline.reverse_step().tick == middle.tick - 1
        os.kill(timeline._motion.current.pid, signal.SIGKILL)
        assert timeline.step().tick == middle.tick
        assert timeline.stack()[0] == frame


def test_a_looker_that_is_killed_is_an_answer(long_run: Path) -> None:
    with Timeline.open(long_run) as timeline:
        timeline.step()
        value = timeline.evaluate("__import__('_signal').raise_signal(9)")
        assert value.failed
        assert timeline.evaluate("1 + 1").text == "2"
        timeline.stack()
        viewer = timeline._views._lookers._viewer
        assert viewer is not None
        os.kill(viewer._pid, signal.SIGKILL)
        with pytest.raises(ReplayError):
            timeline.stack()
        assert timeline.stack()


@pytest.mark.alone
def test_an_interrupt_from_another_thread_ends_a_long_motion(long_run: Path) -> None:
    line = next(n for n, text in enumerate((PROGRAMS / "long.py").read_text().splitlines(), 1) if "total += " in text)
    with Timeline.open(long_run) as timeline:
        timeline.set_breakpoints([Breakpoint(1, path=str(PROGRAMS / "long.py"), line=line, condition="total < 0")])
        began = time.monotonic()
        timer = threading.Timer(0.5, timeline.interrupt)
        timer.start()
        moment = timeline.run()
        assert moment.reason is StopReason.INTERRUPTED
        assert time.monotonic() - began < 5
        timer.join()
        timeline.set_breakpoints([])
        assert timeline.step().tick > moment.tick


def test_the_end_can_be_forked(long_run: Path) -> None:
    """In 3.11 the record ends when the interpreter is gone already."""
    with Timeline.open(long_run) as timeline:
        end = timeline.goto_end()
        child = timeline._motion.current.fork()
        assert child.tick == end.tick
        child.kill()


def test_snapshots_stay_within_their_budget(long_run: Path) -> None:
    from retroscope.replay import snapshot_memory
    from retroscope.replay.launch import launcher_of
    from retroscope.replay.recording import Recording

    recording = Recording(str(long_run))
    launch, end = launcher_of(recording)
    before, snapshot_memory.MEASURE_EVERY = snapshot_memory.MEASURE_EVERY, 0.0
    try:
        with Timeline(recording, launch, end, budget=1) as timeline:
            timeline.goto_end()
            assert len(timeline._motion.snapshots) <= 3
            last = timeline.last_tick
            assert last is not None
            assert timeline.goto(Tick(last // 2)).tick == last // 2
            assert timeline.reverse_step().tick < last // 2
    finally:
        snapshot_memory.MEASURE_EVERY = before
    assert default_budget() > 1 << 26


CHANGING = """\
data = bytearray(24 << 20)
for phase in range(130):
    value = phase % 250 + 1
    for place in range(0, len(data), 4096):
        data[place] = value
        data[place + 1] = value
"""


@pytest.mark.parametrize("budget", [100 << 20, 1 << 40])
def test_memory_of_snapshots_is_what_the_budget_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: int
) -> None:
    """Measured as PSS. Every snapshot of this program has 24 MB of its own; with room for all, they take more."""
    from retroscope.replay import snapshot_memory
    from retroscope.replay.launch import launcher_of
    from retroscope.replay.recording import Recording

    monkeypatch.setattr(snapshot_memory, "MEASURE_EVERY", 0.0)
    monkeypatch.setattr(snapshot_memory, "MEASURE_PAUSE", 0)
    program = tmp_path / "changing.py"
    program.write_text(CHANGING)
    subprocess.run([SCOPE, "record", "-q", "-o", str(tmp_path / "t.db"), str(program)], check=True)
    recording = Recording(str(tmp_path / "t.db"))
    with Timeline(recording, *launcher_of(recording), budget=budget) as timeline:
        end = timeline.goto_end().tick
        timeline.goto(Tick(end // 2))
        kept = timeline._motion.snapshots
        taken = sum(process.memory() for process in kept)
        assert len(kept) > 3
        assert (taken <= 100 << 20) == (budget == 100 << 20), f"{taken >> 20} MiB in {len(kept)} snapshots"
        assert timeline.evaluate("len(data)").text == str(24 << 20)
        assert timeline.evaluate("data[0] in (value, value - 1) and data[-4096] in (value, value - 1)").text == "True"
