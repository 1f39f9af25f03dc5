"""The memory of snapshots: what is known of it without measuring, and what is measured while the replay goes on."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import cast

import pytest
from retroscope.replay import snapshot_memory
from retroscope.replay.process import ReplayProcess
from retroscope.replay.snapshot_memory import SnapshotMemory
from retroscope.replay.snapshots import THIN_SECONDS
from retroscope.replay.timeline import Tick, Timeline

SCOPE = str(Path(sys.executable).parent / "scope")


class Frozen:
    """Takes so many bytes, which are known when `measured` is set."""

    def __init__(self, tick: int, size: int, measured: threading.Event) -> None:
        self.tick, self.size, self.measured = tick, size, measured

    def resident(self) -> int:
        return self.size

    def memory(self) -> int:
        assert self.measured.wait(10)
        return self.size


def frozen(sizes: list[int], measured: threading.Event) -> list[ReplayProcess]:
    return [cast(ReplayProcess, Frozen(tick, size, measured)) for tick, size in enumerate(sizes)]


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_memory, "_fault_is_a_page", lambda: True)
    monkeypatch.setattr(snapshot_memory, "MEASURE_EVERY", 0.0)


def test_large_ones_are_measured_while_the_replay_goes_on() -> None:
    measured = threading.Event()
    processes = frozen([100, 40 << 20, 50 << 20, 30 << 20], measured)
    memory = SnapshotMemory(120 << 20, processes[0])
    for _ in processes[1:]:
        memory.add(1 << 30, (35 << 20) // 4096)
    assert memory.most == 100 + (105 << 20)
    assert memory.excess(processes, 1 << 30) == {}, "it is waited for"
    memory.add(1 << 30, 1)
    measured.set()
    while not (found := memory.excess(processes, 1 << 30)):
        pass
    assert found == {0: 100, 1: 40 << 20, 2: 50 << 20, 3: 30 << 20}
    assert memory.most == 100 + (120 << 20) + 4096, "what was made meanwhile is forgotten"
    memory.gone(30 << 20)
    assert memory.excess(processes[:3], 1 << 27) == {0: 100, 1: 40 << 20, 2: 50 << 20}, "more than three quarters"
    memory.gone(50 << 20)
    assert memory.excess(processes[:2], 1 << 27) == {}
    assert memory.most == 100 + (40 << 20)
    memory.close()


def test_it_is_waited_for_when_the_budget_may_be_exceeded() -> None:
    measured = threading.Event()
    processes = frozen([100, 140 << 20], measured)
    memory = SnapshotMemory(100 << 20, processes[0])
    memory.add(1 << 30, (130 << 20) // 4096)
    threading.Timer(0.2, measured.set).start()
    assert memory.excess(processes, 1 << 30) == {0: 100, 1: 140 << 20}
    memory.close()


def test_by_default_other_programs_and_timelines_have_their_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several that take what they may, one after the other, end with equal shares, and one more is left over."""
    machine, others = 24 << 30, 0
    taken = [0, 0, 0]
    monkeypatch.setattr(snapshot_memory, "_ASK_EVERY", 0.0)
    monkeypatch.setattr(snapshot_memory, "default_budget", lambda: machine // 4)
    monkeypatch.setattr(snapshot_memory, "spare_memory", lambda: max(1 << 20, machine - others - sum(taken)))
    memories = [SnapshotMemory(None, frozen([0], threading.Event())[0]) for _ in taken]

    def fill() -> None:
        for _ in range(50):
            for number, memory in enumerate(memories):
                taken[number] = memory._before = memory.budget

    fill()
    assert taken == [6 << 30] * 3, "a quarter each: there is room"
    others = 20 << 30
    fill()
    assert taken == pytest.approx([1 << 30] * 3, rel=0.01)
    others = 0
    fill()
    assert taken == [6 << 30] * 3
    monkeypatch.setattr(snapshot_memory, "spare_memory", lambda: 0)
    assert memories[0].budget == 6 << 30, "nobody tells"
    monkeypatch.setattr(snapshot_memory, "spare_memory", lambda: 1)
    given = SnapshotMemory(9 << 30, frozen([0], threading.Event())[0])
    assert given.budget == 9 << 30


GROWING = """\
slow = [str(number) for number in range(800)]
total = 0
for number in range(40_000):
    total += len("".join(sorted(slow)))
rows = []
for number in range(300_000):
    rows.append((number, str(number)))
for row in rows[::5]:
    total += row[0]
"""


@pytest.mark.alone
def test_what_is_known_without_measuring_and_slow_lines(tmp_path: Path) -> None:
    """PSS is never more than what is known of all that was made, and not much less; slow lines have snapshots too."""
    program = tmp_path / "growing.py"
    program.write_text(GROWING)
    subprocess.run([SCOPE, "record", "-q", "-o", str(tmp_path / "t.db"), str(program)], check=True)
    with Timeline.open(tmp_path / "t.db") as timeline:
        end = timeline.goto_end().tick
        kept = timeline._motion.snapshots
        taken = sum(process.memory() for process in kept)
        assert len(kept) > 3
        assert taken <= kept._memory.most < 1.5 * taken + (16 << 20)
        slow = [tick for tick in kept.ticks if 0 < tick < timeline.entry + 80_000]
        assert slow, f"{kept.ticks}; {THIN_SECONDS} s apart"
        assert timeline.goto(Tick(end // 3)).tick == end // 3
