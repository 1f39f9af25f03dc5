"""Threads and tasks of one moment against what plain Python says about the same program at that line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from retroscope.replay.timeline import Breakpoint, Frame, StopReason, Tick, Timeline

from tests.replay.conftest import PROGRAMS, Recorder

STANDING = PROGRAMS / "standing.py"
WAITS = {
    "locked": "in _thread.RLock.__enter__ that thread 1 holds",
    "working": "in queue.Queue.get",
    "asleep": "in time.sleep",
    "gated": "in threading.Event.wait",
    "joining": "for thread 5 to end",
}
TASKS = {
    "sleeper": "in asyncio.tasks.sleep",
    "sixth": "in asyncio.tasks.sleep",
    "seventh": "in asyncio.tasks.sleep",
    "taker": "in asyncio.queues.Queue.get",
    "looper": "in asyncio.tasks.sleep",
    "both": "for all of sixth, seventh",
}


@pytest.fixture(scope="module")
def said() -> list[dict[str, Any]]:
    """What plain Python reports: of the threads, then of the tasks."""
    done = subprocess.run([sys.executable, str(STANDING)], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def reports(recorded: Recorder) -> Iterator[tuple[Timeline, list[Tick]]]:
    """A timeline, and the ticks of the two reports."""
    with Timeline.open(recorded("standing")) as timeline:
        timeline.set_breakpoints([Breakpoint(1, function="report")])
        yield timeline, [timeline.run().tick for _ in range(2)]


def own(frames: list[Frame] | tuple[Frame, ...]) -> list[list[object]]:
    return [[each.function.rpartition(".")[2], each.line] for each in frames if each.path == str(STANDING)]


def test_all_threads_stand_where_plain_python_says(
    reports: tuple[Timeline, list[Tick]], said: list[dict[str, Any]]
) -> None:
    timeline, (tick, _) = reports
    timeline.goto(tick)
    threads = {thread.name: thread for thread in timeline.threads()}
    assert set(threads) == set(said[0]) == {"MainThread", *WAITS}
    for name, stack in said[0].items():
        shown = own(timeline.stack(threads[name].id))
        assert (shown[3:] if name == "MainThread" else shown) == (stack[2:] if name == "MainThread" else stack)
    assert {name: thread.waits for name, thread in threads.items() if name in WAITS} == WAITS
    assert threads["MainThread"].state == "running"


def test_variables_of_threads_that_wait_can_be_seen(reports: tuple[Timeline, list[Tick]]) -> None:
    timeline, (tick, _) = reports
    timeline.goto(tick)
    threads = {thread.name: thread.id for thread in timeline.threads()}
    for name, value in (("locked", "11"), ("working", "22"), ("asleep", "0.5")):
        frame = next(each for each in timeline.stack(threads[name]) if each.line and each.function in (
            "take_lock", "take_job", "sleep"))
        assert timeline.evaluate("secret", frame.id).text == value
        (scope, *_) = timeline.scopes(frame.id)
        assert {each.name: each.text for each in timeline.expand(scope.reference)}["secret"] == value


def test_all_tasks_stand_where_plain_python_says(
    reports: tuple[Timeline, list[Tick]], said: list[dict[str, Any]]
) -> None:
    timeline, (_, tick) = reports
    timeline.goto(tick)
    tasks = {task.name: task for task in timeline.tasks() if task.state != "running"}
    assert {name: own(task.frames) for name, task in tasks.items()} == said[1]
    assert {name: task.waits for name, task in tasks.items()} == TASKS
    assert [task.state for task in timeline.tasks()].count("running") == 1
    seventh = tasks["seventh"].frames
    assert [timeline.evaluate("hidden", frame.id).text for frame in seventh[-2:]] == ["7", "7"]


def test_threads_that_ended_are_told_from_those_that_live(reports: tuple[Timeline, list[Tick]]) -> None:
    timeline, (_, tick) = reports
    timeline.goto(tick)
    assert [thread.state for thread in timeline.threads()] == ["running", *["finished"] * 5]
    assert timeline.goto_end().reason is StopReason.END
    assert timeline.threads()[0].name == "MainThread"
    assert timeline.stack() == []
    assert timeline.tasks() == []
