"""Observations against plain Python: every variable at every line of the programs in fixtures/values, and that an
observed run is the run that is not observed."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from retroscope.recorder import _core
from retroscope.replay.protocol import TO_THE_END, Reason

from tests.recordings import FIXTURES, SCOPE, Recorder, recorder
from tests.replay.observing import (
    ATTR,
    ENTER,
    FREED,
    ITEM,
    KEPT,
    LEAVE,
    LINE,
    RESUME,
    Follower,
    observe,
    shown,
    started,
)

PROGRAMS = FIXTURES / "values"
ORACLE = Path(__file__).parent / "observed"
NAMES = sorted(path.stem for path in PROGRAMS.glob("*.py"))


@pytest.fixture(scope="session")
def valued(tmp_path_factory: pytest.TempPathFactory) -> Recorder:
    """The trace of a program in fixtures/values, by its name."""
    return recorder(tmp_path_factory.mktemp("values"), PROGRAMS)


def plain(name: str, folder: Path) -> list[Any]:
    """What plain Python says of the program's own lines."""
    result = folder / "plain.json"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ORACLE),
        "OBSERVED_PROGRAM": str(PROGRAMS / f"{name}.py"),
        "OBSERVED_RESULT": str(result),
    }
    command = [sys.executable, str(PROGRAMS / f"{name}.py")]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    events: list[Any] = json.loads(result.read_text())
    return events


def observed(blocks: list[bytes], program: str) -> list[Any]:
    """The same rows from blocks."""
    follower = Follower()
    rows: list[Any] = []
    for block in blocks:
        for kind, _, frame, *rest in follower.facts(block):
            if kind not in (LINE, LEAVE) or frame not in follower.codes or follower.codes[frame][0] != program:
                continue
            _, name, _, _, flags = follower.codes[frame]
            if kind == LINE:
                variables = None if flags & 8 else follower.shown(frame)
                rows.append((follower.thread(rest[2]), name, rest[1], variables))
            elif rest[0] < 2 and rest[1] is not None:  # None: nothing of its own code ran
                rows.append((follower.thread(rest[2]), name, None, shown(rest[1])))
    plain_rows: list[Any] = json.loads(json.dumps(rows))
    return plain_rows


@pytest.mark.parametrize("name", NAMES)
def test_variables_and_results_are_those_of_plain_python(name: str, valued: Recorder, tmp_path: Path) -> None:
    blocks, stopped = observe(valued(name))
    assert stopped.reason is Reason.END
    expected = plain(name, tmp_path)
    seen = observed(blocks, str(PROGRAMS / f"{name}.py"))
    for line, (here, there) in enumerate(zip(seen, expected, strict=False)):
        assert here == there, f"event {line}"
    assert len(seen) == len(expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_frame_that_has_ended_never_goes_on(name: str, valued: Recorder) -> None:
    """What was thrown into goes on when what it waits for has ended: it had not ended itself."""
    blocks, _ = observe(valued(name))
    ended, resumed = set(), 0
    for block in blocks:
        for kind, _, frame, *rest in _core.block_events(block, 0, TO_THE_END, ENTER | RESUME | LEAVE | LINE):
            resumed += kind == RESUME
            assert frame > 0 or kind in (ENTER, LEAVE), "it began while observed, so it is known"
            assert frame == 0 or frame not in ended
            if kind == LEAVE and rest[0] != 1:
                ended.add(frame)
    assert resumed or name != "suspending"


@pytest.mark.parametrize("name", ["bindings", "suspending", "threaded"])
def test_stops_and_the_size_of_blocks_make_no_difference(name: str, valued: Recorder) -> None:
    whole, stopped = observe(valued(name))
    draw = random.Random(name)
    stops = tuple(sorted(draw.sample(range(1, stopped.tick), 40)))
    pieces, _ = observe(valued(name), stops=stops)
    assert len(pieces) > len(whole)
    program = str(PROGRAMS / f"{name}.py")
    assert observed(pieces, program) == observed(whole, program)


@pytest.mark.parametrize("name", ["bindings", "suspending", "failing", "threaded"])
def test_the_state_at_a_tick_is_what_the_facts_add_up_to(name: str, valued: Recorder) -> None:
    blocks, _ = observe(valued(name), stops=(5000, 6000))
    for block in blocks:
        first, ticks, _ = _core.block_head(block)
        wanted = set(random.Random(first).sample(range(first, first + ticks), min(ticks, 40)))
        follower, stacks = Follower(), Stacks(block)
        for fact in follower.facts(block):
            stacks.note(fact)
            if fact[0] == LINE and fact[1] in wanted:
                (thread, frames), *_ = _core.block_state(block, fact[1])
                assert thread == fact[5]
                assert [row[0] or -row[1] for row in frames] == stacks.running(thread)
                assert frames[0][3:5] == (fact[4], fact[1])
                names = _core.block_codes(block)[frames[0][2]][3]
                held = {names[slot]: shown(value) for slot, value in (frames[0][5] or {}).items()}
                assert held == (follower.shown(fact[2]) if frames[0][5] is not None else {})


class Stacks:
    """The stacks of a block's threads, kept by its calls from its first line on."""

    def __init__(self, block: bytes) -> None:
        self._began = False
        self._threads = {
            thread: [row[0] or -row[1] for row in reversed(frames)]
            for thread, frames in _core.block_state(block, _core.block_head(block)[0])
        }

    def note(self, fact: tuple[Any, ...]) -> None:
        kind, _, frame, *rest = fact
        self._began = self._began or kind == LINE
        if self._began and kind in (ENTER, RESUME):
            self._threads.setdefault(rest[-1], []).append(frame)
        elif self._began and kind == LEAVE:
            assert self._threads[rest[-1]].pop() == frame

    def running(self, thread: int) -> list[int]:
        return self._threads[thread][::-1]


def stored(blocks: list[bytes], program: str) -> tuple[list[Any], list[tuple[int, int]]]:
    """Rows as observed/stores.py has them, without the objects' numbers; and for each the address of the object, with
    how often FREED was told of it before."""
    follower = Follower()
    rows: list[Any] = []
    objects: list[tuple[int, int]] = []
    gone: dict[int, int] = {}
    for block in blocks:
        for kind, _, *rest in follower.facts(block):
            if kind == FREED:
                gone[rest[0]] = gone.get(rest[0], 0) + 1
            elif kind in (ATTR, ITEM) and rest[0] and follower.codes[rest[0]][0] == program:
                objects.append((rest[1], gone.get(rest[1], 0)))
                if kind == ATTR:
                    rows.append(["attribute", rest[2], rest[3], rest[4] and rest[4][2]])
                else:
                    is_slice = rest[2] is None or rest[2][0] == "slice"
                    key = "<slice>" if is_slice else rest[2][2]
                    rows.append(["item", key, None if is_slice else rest[3] and rest[3][2]])
    return rows, objects


@pytest.mark.parametrize("name", NAMES)
def test_stores_are_those_of_plain_python(name: str, valued: Recorder, tmp_path: Path) -> None:
    """And an address with what FREED told is one object."""
    program, result = str(PROGRAMS / f"{name}.py"), tmp_path / "stores.json"
    command = [sys.executable, str(ORACLE / "stores.py"), program, str(result)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    expected = json.loads(result.read_text())
    rows, objects = stored(observe(valued(name))[0], program)
    assert rows == [[row[0], *row[2:]] if row[0] == "attribute" else [row[0], *row[3:]] for row in expected]
    identity: dict[tuple[int, int], int] = {}
    for place, (_, number, *_) in zip(objects, expected, strict=True):
        assert identity.setdefault(place, number) == number


def test_a_store_that_fails_is_taken_back(tmp_path: Path) -> None:
    blocks, program = blocks_of(
        """
        class Slotted:
            __slots__ = ("a",)

        class Unhashable:
            __hash__ = None

        def main():
            s, items, table = Slotted(), [1], {}
            for attempt in (
                lambda: setattr(s, "a", 1), lambda: s.__class__, lambda: None,
            ):
                attempt()
            try:
                s.b = 1
            except AttributeError:
                pass
            try:
                items[3] = 1
            except IndexError:
                pass
            try:
                table[Unhashable()] = 1
            except TypeError:
                pass
            try:
                del s.a, s.a
            except AttributeError:
                pass
        main()
        """,
        tmp_path,
    )
    told: list[str] = []
    for block in blocks:
        codes = {i for i, code in enumerate(_core.block_codes(block)) if code[:2] == (program, "main")}
        frames = {fact[2] for fact in _core.block_events(block, 0, TO_THE_END, LINE) if fact[3] in codes}
        stores: set[int] = set()
        for kind, _, *rest in _core.block_events(block, 0, TO_THE_END, ATTR | ITEM | FREED):
            if kind != FREED and rest[0] in frames:
                stores.add(rest[1])
                told.append("attribute " + rest[3] if kind == ATTR else "item")
            elif kind == FREED and rest[0] in stores and told[-1] != "lost":
                told.append("lost")
    assert told == ["attribute b", "lost", "item", "lost", "item", "lost", "attribute a", "attribute a", "lost"]


def blocks_of(text: str, folder: Path) -> tuple[list[bytes], str]:
    """The blocks of a program, and its path."""
    program = folder / "program.py"
    program.write_text(textwrap.dedent(text))
    trace = folder / "trace.db"
    subprocess.run([SCOPE, "record", "-q", "-o", str(trace), str(program)], check=True, stdout=subprocess.DEVNULL)
    return observe(trace)[0], str(program)


def memory(pid: int, address: int, size: int) -> bytes:
    with open(f"/proc/{pid}/mem", "rb") as file:
        file.seek(address)
        return file.read(size)


@pytest.mark.parametrize("name", ["containers", "objects", "suspending", "bindings"])
def test_an_observed_run_has_the_same_objects_at_the_same_addresses(name: str, valued: Recorder) -> None:
    """Of every value that has an address: its reference count, type and first words, in an unobserved process."""
    blocks, stopped = observe(valued(name))
    follower = Follower()
    last: dict[int, set[int]] = {}
    for block in blocks:
        for fact in follower.facts(block):
            if fact[0] == LINE:
                values = follower.variables.get(fact[2], {}).values()
                addresses = {value[1] for value in values if value and value[1]}
                if addresses:
                    last[fact[1]] = addresses
    ticks = sorted(last)[:: max(1, len(last) // 60)]
    launcher, bare = started(valued(name))
    watcher_launcher, watched = started(valued(name))
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        watched.observe(sink)
        for tick in ticks:
            bare.run(tick)
            watched.run(tick)
            assert bare.tick == watched.tick == tick
            for address in last[tick]:
                assert memory(bare.pid, address, 24) == memory(watched.pid, address, 24), (tick, hex(address))
        assert bare.run(TO_THE_END).tick == watched.run(TO_THE_END).tick == stopped.tick
    finally:
        os.close(sink)
        for process, end in ((bare, launcher), (watched, watcher_launcher)):
            process.close()
            end.close()


def test_a_segment_from_a_snapshot_joins_the_one_before(valued: Recorder) -> None:
    """Frames that began before it are called by their addresses, which the end of the segment before resolves."""
    whole, _ = observe(valued("suspending"))
    program = str(PROGRAMS / "suspending.py")
    own = [fact for block in whole for fact in _core.block_events(block, 0, TO_THE_END, LINE)][-150]
    middle = own[1]
    before, _ = observe(valued("suspending"), stops=(middle,))
    first = [block for block in before if _core.block_head(block)[0] <= middle]
    after, _ = observe(valued("suspending"), start=middle)
    assert _core.block_head(after[0])[0] == middle + 1
    known = {address: frame for frame, address, _ in _core.block_end(first[-1])}
    for block in after:
        for frame, address, _, _ in _core.block_frames(block):
            assert frame or address in known
    rows = observed(first, program) + observed(after, program)
    assert [row[:3] for row in rows] == [row[:3] for row in observed(whole, program)]


def test_damaged_blocks_are_errors_or_results(valued: Recorder) -> None:
    blocks, _ = observe(valued("objects"), stops=(6900,))
    draw = random.Random(1)
    block = min(blocks, key=len)
    for at in [*range(60), *(draw.randrange(len(block)) for _ in range(1500))]:
        damaged = bytearray(block)
        damaged[at] ^= 1 << draw.randrange(8) if at % 2 else draw.randrange(1, 256)
        for read in READINGS:
            try:
                read(bytes(damaged))
            except (ValueError, LookupError, OverflowError):
                continue
    several = block.replace(b"self", b"\xac" * 4).replace(b".py", b"\xac" * 3)
    assert several != block
    with pytest.raises(ValueError):
        _core.block_codes(several)
    for size in range(0, len(block), 7):
        with pytest.raises(ValueError):
            _core.block_head(block[:size])


READINGS: list[Callable[[bytes], Any]] = [
    lambda block: _core.block_events(block, 0, TO_THE_END, LINE | KEPT | ENTER | 0xFFFF),
    lambda block: _core.block_state(block, sum(_core.block_head(block)[:2]) - 1),
    lambda block: _core.block_hits(block, 0, TO_THE_END, 16, "attributes", "p"),
    lambda block: [read(block) for read in (_core.block_codes, _core.block_frames, _core.block_end)],
    _core.block_shared,
]


def test_what_c_code_stores_is_seen_where_it_can_be(tmp_path: Path) -> None:
    """setattr() and object.__setattr__() everywhere; from 3.12 on what any code does to a dict."""
    blocks, program = blocks_of(
        """
        class Plain:
            pass

        class Frozen:
            def __setattr__(self, name, value):
                object.__setattr__(self, name, value + 1)

        def main():
            p, f, table = Plain(), Frozen(), {}
            setattr(p, "a", 1)
            delattr(p, "a")
            f.b = 1
            table["first"] = 1
            table.update(second=2)
            table.pop("first")
            table |= {"third": 3}
        main()
        """,
        tmp_path,
    )
    told: list[Any] = []
    for block in blocks:
        frames = {fact[2]: fact[3] for fact in _core.block_events(block, 0, TO_THE_END, LINE)}
        codes = _core.block_codes(block)
        for kind, _, frame, *rest in _core.block_events(block, 0, TO_THE_END, ATTR | ITEM):
            if frame in frames and codes[frames[frame]][0] == program:
                value = rest[-1] and rest[-1][2]
                told.append((rest[2], value) if kind == ATTR else (rest[1][2], value))
    attributes = [("a", "1"), ("a", None), ("b", "2")]
    items = [("'first'", "1"), ("'second'", "2"), ("'first'", None), ("'third'", "3")]
    assert told == attributes + (items if sys.version_info >= (3, 12) else items[:1])
