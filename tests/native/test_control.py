"""The control loop: forks, lookers, the last word, and what happens when somebody dies."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.native.driving import (
    DIVERGED,
    END,
    HERE,
    LIMIT,
    LINE,
    MATCH,
    READY,
    VISIBLE,
    Debuggee,
    Gone,
    Process,
)

PROGRAMS = HERE / "programs"
ENDLESS = PROGRAMS / "endless.py"
NOISY = PROGRAMS / "noisy.py"


@pytest.fixture
def noisy() -> Iterator[Debuggee]:
    with Debuggee(NOISY) as started:
        yield started


def soon(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.02)
    return False


def alive(pid: int) -> bool:
    """Neither gone nor a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_ready_waits_at_tick_0(noisy: Debuggee) -> None:
    assert (noisy.ready.reason, noisy.ready.tick, noisy.ready.text) == (READY, 0, "")
    assert noisy.look("frame") == "None"
    assert noisy.run(0).reason == LIMIT
    assert (noisy.run(1).tick, noisy.look("frame.f_lineno")) == (1, "1")


def test_standard_streams_are_closed_to_the_program(capfd: pytest.CaptureFixture[str]) -> None:
    with Debuggee(NOISY) as debuggee:
        assert debuggee.look("[os.readlink(f'/proc/self/fd/{n}') for n in range(3)]") == repr(["/dev/null"] * 3)
        assert debuggee.run().reason == END
    assert capfd.readouterr() == ("", "")


def test_standard_streams_stay_open_for_debugging(capfd: pytest.CaptureFixture[str]) -> None:
    with Debuggee(NOISY, SCOPE_DEBUG="1") as debuggee:
        debuggee.run()
        debuggee.look("1")
    assert "error 4" in capfd.readouterr().err


def test_a_process_holds_no_socket_but_its_own(noisy: Debuggee) -> None:
    numbers = "[n for n in map(int, os.listdir('/proc/self/fd')) if os.path.exists(f'/proc/self/fd/{n}')]"
    noisy.run(2)
    with noisy.fork() as child:
        for process in (noisy, child):
            folder = f"/proc/{process.pid}/fd"
            assert soon(lambda folder=folder: len(os.listdir(folder)) == 4)  # type: ignore[misc]
            assert max(map(int, os.listdir(folder))) >= 1000
        looking = json.loads(child.look(numbers).replace("'", '"'))
        assert len([n for n in looking if n > 2]) == 1


def test_forks_are_independent(noisy: Debuggee) -> None:
    noisy.run(4)
    with noisy.fork() as first, first.fork() as second:
        assert (first.pid, second.pid) != (noisy.pid, first.pid)
        first.run()
        assert second.look("state") == noisy.look("state") == "{'count': 0}"
        assert first.look("sys.modules['__main__'] and 1") == "1"
        assert second.run(want=LINE | VISIBLE).reason == MATCH


def test_a_snapshot_outlives_its_parent(noisy: Debuggee) -> None:
    noisy.run(4)
    child = noisy.fork()
    grandchild = child.fork()
    noisy.quit()
    assert noisy.popen.wait(20) == 0
    child.control.close()
    assert soon(lambda: not alive(child.pid))
    assert grandchild.look("state") == "{'count': 0}"
    assert grandchild.run().reason == END
    grandchild.control.close()
    assert soon(lambda: not alive(grandchild.pid))


def test_looking_changes_nothing(noisy: Debuggee) -> None:
    noisy.run(6)
    before = noisy.look("state, id(state), id(object())")
    for expression in ("state.clear()", "exec('def f():\\n return 1\\nprint(f())')", "1/0"):
        noisy.look(expression)
    with pytest.raises(Gone):
        noisy.look("sys.exit()")
    assert noisy.look("core.ticks_now(), [x for x in range(9)] and core.ticks_now()") == "(6, 6)"
    assert noisy.look("state, id(state), id(object())") == before


def test_dead_lookers_and_snapshots_are_no_hindrance(noisy: Debuggee) -> None:
    noisy.run(3)
    for _ in range(20):
        noisy.look("1")
        os.kill((child := noisy.fork()).pid, signal.SIGKILL)
        child.control.close()
    noisy.run(4)
    with noisy.fork() as child:
        assert child.run().reason == END
    children = Path(f"/proc/{noisy.pid}/task/{noisy.pid}/children").read_text().split()
    assert len(children) < 10


@pytest.mark.alone
def test_a_runaway_look_is_ended(noisy: Debuggee) -> None:
    with Debuggee(NOISY, "0.3") as limited:
        limited.run(4)
        began = time.monotonic()
        with pytest.raises(Gone):
            limited.look("all(True for _ in iter(int, 1))")
        with pytest.raises(Gone):
            limited.look("sum(iter(int, 1))")
        assert time.monotonic() - began < 10
        assert limited.look("len(bytearray(1 << 31))").startswith("MemoryError")
        assert limited.look("state") == "{'count': 0}"


def test_looking_at_the_recursion_limit() -> None:
    program = PROGRAMS / "deep.py"
    line = next(n for n, text in enumerate(program.read_text().splitlines(), 1) if "here = n" in text)
    with Debuggee(program) as debuggee:
        debuggee.set_breakpoints((1, 0, line, str(program)))
        stopped = debuggee.run(want=1)
        assert (stopped.reason, stopped.depth > 500) == (MATCH, True)
        assert int(debuggee.look("n")) > 500
        assert debuggee.look("(lambda f: f(f, 60))(lambda f, n: n and f(f, n - 1))") == "0"


def test_the_end_can_be_forked_and_looked_at_but_not_run(noisy: Debuggee) -> None:
    end = noisy.run()
    assert (end.reason, json.loads(end.text)["status"]) == (END, 0)
    again = noisy.run()
    assert (again.reason, again.text, again.tick) == (END, end.text, end.tick)
    assert noisy.look("frame, 1 + 1") == "(None, 2)"
    with noisy.fork() as child:
        assert child.run().reason == END


def test_diverged_keeps_the_whole_message(tmp_path: Path) -> None:
    program = tmp_path / "diverging.py"
    program.write_text("from retroscope.recorder import _core\nhere = 7\n_core.control_diverged('naïve ' * 5000)\n")
    with Debuggee(program) as debuggee:
        stopped = debuggee.run()
        assert (stopped.reason, stopped.text) == (DIVERGED, "naïve " * 5000)
        assert debuggee.look("here, frame.f_lineno") == "(7, 3)"
        assert debuggee.run().reason == DIVERGED


@pytest.mark.parametrize(("name", "number"), [("crash.py", signal.SIGSEGV), ("aborts.py", signal.SIGABRT)])
def test_death_in_c_is_an_end_that_can_be_looked_at(name: str, number: int) -> None:
    with Debuggee(PROGRAMS / name) as debuggee:
        end = debuggee.run()
        assert (end.reason, json.loads(end.text)["signal"]) == (END, number)
        assert debuggee.look("(frame if 'marker' in frame.f_locals else frame.f_back).f_locals['marker']") == "'before'"


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="3.12 and later bound the C stack themselves")
def test_an_overflowing_c_stack_is_an_end_that_can_be_looked_at(tmp_path: Path) -> None:
    program = tmp_path / "overflow.py"
    program.write_text(
        "import sys\nsys.setrecursionlimit(10**8)\nnest = []\nfor _ in range(10**6): nest = [nest]\nrepr(nest)\n"
    )
    with Debuggee(program) as debuggee:
        end = debuggee.run()
        assert (end.reason, json.loads(end.text)["signal"]) == (END, signal.SIGSEGV)
        assert debuggee.look("frame.f_lineno, sorted([2, 1], key=lambda n: n)") == "(5, [1, 2])"


def test_signals_do_not_reach_the_program() -> None:
    with Debuggee(ENDLESS) as debuggee:
        debuggee.run(10)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM, signal.SIGCHLD, signal.SIGPIPE):
            os.kill(debuggee.pid, number)
        assert debuggee.run(100_000).reason == LIMIT
        assert debuggee.look("n > 10_000") == "True"


def test_a_running_process_notices_that_its_controller_is_gone() -> None:
    debuggee = Debuggee(ENDLESS)
    child = debuggee.fork()
    for process in (debuggee, child):
        process.control.settimeout(0.5)
        with pytest.raises(TimeoutError):
            process.run()
        process.control.close()
    assert debuggee.popen.wait(60) == 0
    assert soon(lambda: not alive(child.pid), 60)


@pytest.mark.parametrize("body", ["while True: pass", "sum(iter(int, 1))"])
def test_a_process_without_line_events_notices_it_too(tmp_path: Path, body: str) -> None:
    program = tmp_path / "endless.py"
    program.write_text(body + "\n")
    debuggee = Debuggee(program)
    debuggee.control.settimeout(0.3)
    with pytest.raises(TimeoutError):
        debuggee.run()
    debuggee.control.close()
    assert debuggee.popen.wait(20) == 0


def test_nonsense_from_the_controller_is_named(noisy: Debuggee) -> None:
    noisy.control.send(b"\x63\0\0\0\0\0\0\0hello")
    stopped = noisy.receive()
    assert stopped.reason == DIVERGED
    assert "does not understand" in stopped.text


@pytest.mark.parametrize("body", [b"", b"\1\0\0\0", b"\xff\xff\xff\xff", b"\1\0\0\0" + b"\0" * 12 + b"\xff\0\0\0x"])
def test_damaged_breakpoint_tables_are_refused(noisy: Debuggee, body: bytes) -> None:
    noisy.control.send(b"\4\0\0\0\0\0\0\0" + body)
    assert noisy.receive().reason == DIVERGED


def test_it_starts_below_a_low_limit_on_descriptors() -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        with Debuggee(NOISY) as debuggee, debuggee.fork() as child:
            assert child.run().reason == END
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_many_snapshots(noisy: Debuggee) -> None:
    noisy.run(2)
    snapshots: list[Process] = []
    for tick in range(3, 12):
        snapshots.append(noisy.fork())
        noisy.run(tick)
    for tick, snapshot in enumerate(snapshots, 2):
        assert snapshot.run(tick + 1).tick == tick + 1
        snapshot.control.close()
