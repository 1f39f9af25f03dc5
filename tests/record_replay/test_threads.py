"""Programs with several threads: the recorded order comes back; where it could not be recorded, that is said."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from retroscope.trace import Kind, open_trace

from tests.record_replay.test_programs import ENVIRONMENT, FIXTURES, SCOPE, Outcome, run, without_closing_line


def record(program: str, trace: Path, folder: Path, *options: str) -> Outcome:
    return run([SCOPE, "record", "-q", *options, "-o", str(trace), str(FIXTURES / program)], folder, ENVIRONMENT)


def verify(trace: Path, folder: Path) -> Outcome:
    return run([SCOPE, "verify", str(trace), "--output"], folder, ENVIRONMENT)


@pytest.mark.parametrize("attempt", range(5))
def test_a_race_is_lost_again_in_the_same_way(attempt: int, tmp_path: Path) -> None:
    trace = tmp_path / "race.db"
    recorded = record("threads_race.py", trace, tmp_path, "--chaos")
    assert recorded.status == 0, recorded.stderr.decode()
    verified = verify(trace, tmp_path)
    assert verified.status == 0, verified.stderr.decode()
    assert without_closing_line(verified).stdout == recorded.stdout


def test_chaos_finds_the_race(tmp_path: Path) -> None:
    recorded = record("threads_race.py", tmp_path / "race.db", tmp_path, "--chaos")
    kept, whole = (int(word) for word in recorded.stdout.split() if word.isdigit())
    assert kept < whole, "no update was lost although threads were preempted at random"


def test_a_seed_gives_the_same_order_again(tmp_path: Path) -> None:
    """Also where threads begin: when the operating system first lets one run is not left to chance."""
    orders = []
    for name in ("first.db", "second.db"):
        recorded = record("threads_race.py", tmp_path / name, tmp_path, "--chaos=5")
        assert recorded.status == 0, recorded.stderr.decode()
        with open_trace(tmp_path / name) as reader:
            orders.append([record.payload() for record in reader.records(1) if record.kind == Kind.SWITCH])
    assert orders[0] == orders[1]
    assert len(orders[0]) > 50, "threads were hardly ever preempted"


def test_a_thread_that_waits_unseen_neither_hangs_the_program_nor_is_replayed_wrongly(tmp_path: Path) -> None:
    trace = tmp_path / "unseen.db"
    recorded = record("threads_unseen.py", trace, tmp_path)
    assert recorded.status == 0
    assert recorded.stdout == b"read 5 b'hello'\ndone\n"
    verified = verify(trace, tmp_path)
    assert verified.status == 3
    assert b"the order of threads is not recorded" in verified.stderr


FORKING = """
import os
from concurrent.futures import ThreadPoolExecutor

def forked():
    child = os.fork()
    if not child:
        os._exit(3)
    print(os.waitpid(child, 0)[1] >> 8)

for _ in range(20):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(range, range(20)))
        pool.submit(forked).result()
"""


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_fork_waits_for_a_lock_that_a_hook_of_it_takes(seed: int, tmp_path: Path) -> None:
    """concurrent.futures has such a hook, a method of the lock itself; the thread that submits holds it at times."""
    trace = tmp_path / "forking.db"
    recorded = run([SCOPE, "record", "-q", f"--chaos={seed}", "-o", str(trace), "-c", FORKING], tmp_path, ENVIRONMENT)
    assert (recorded.status, recorded.stdout) == (0, b"3\n" * 20), recorded.stderr.decode()
    verified = verify(trace, tmp_path)
    assert verified.status == 0, verified.stderr.decode()


IDLE = """
import threading
leave, total = threading.Event(), 0
idle = threading.Thread(target=leave.wait)
idle.start()
for number in range(100_000):
    total += number
leave.set()
idle.join()
"""


def test_nothing_is_counted_while_all_other_threads_are_idle(tmp_path: Path) -> None:
    trace = tmp_path / "idle.db"
    recorded = run([SCOPE, "record", "-q", "-o", str(trace), "-c", IDLE], tmp_path, ENVIRONMENT)
    assert recorded.status == 0, recorded.stderr.decode()
    with open_trace(trace) as reader:
        counts = [record.digest for record in reader.records(1) if record.kind == Kind.SWITCH]
    assert len(counts) >= 3
    assert counts[-1] < 50_000, "the lines of the loop were counted, although nobody could have run instead"


AUDITED = """
import sys, time
class Work:
    def __repr__(self): return "<work>"
    def __call__(self): print("done")
def hook(event, args):
    if event.startswith("_thread.start"):
        print(event, args[:2], time.time() > 0)
sys.addaudithook(hook)
import _thread
over = _thread.allocate_lock()
over.acquire()
def work(): over.release()
work = type("Quiet", (), {"__call__": staticmethod(work), "__repr__": lambda self: "<quiet>"})()
_thread.start_new_thread(work, ())
over.acquire()
if hasattr(_thread, "start_joinable_thread"):
    _thread.start_joinable_thread(Work()).join()
def forbid(event, args):
    if event.startswith("_thread.start"):
        raise PermissionError(event)
sys.addaudithook(forbid)
try:
    _thread.start_new_thread(work, ())
except PermissionError as error:
    print(error)
"""


def test_hooks_are_told_of_the_function_that_a_thread_runs(tmp_path: Path) -> None:
    program, trace = tmp_path / "audited.py", tmp_path / "audited.db"
    program.write_text(AUDITED)
    plain = run([sys.executable, str(program)], tmp_path, ENVIRONMENT)
    recorded = run([SCOPE, "record", "-q", "-o", str(trace), str(program)], tmp_path, ENVIRONMENT)
    assert recorded == plain
    verified = verify(trace, tmp_path)
    assert (verified.status, without_closing_line(verified).stdout) == (0, plain.stdout), verified.stderr.decode()
