"""Motions among threads: they stay in theirs, and lead out of it where it begins and ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from retroscope.replay.timeline import Breakpoint, StopReason, Tick, Timeline

from tests.replay.conftest import PROGRAMS, Recorder

TURNS = PROGRAMS / "turns.py"
LINES = TURNS.read_text().splitlines()


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(LINES, 1) if text in line)


@pytest.fixture(scope="module")
def timeline(recorded: Recorder) -> Iterator[Timeline]:
    with Timeline.open(recorded("turns")) as timeline:
        yield timeline


@pytest.fixture
def first_turn(timeline: Timeline) -> Tick:
    """Where thread 2 begins its first turn."""
    timeline.goto(timeline.entry)
    timeline.set_breakpoints([Breakpoint(1, function="play")])
    moment = timeline.run()
    timeline.set_breakpoints([])
    assert moment.thread == 2
    return moment.tick


def place(timeline: Timeline) -> tuple[int, str]:
    frame = timeline.stack()[0]
    return int(timeline.now.thread), LINES[frame.line - 1].strip()


TURN = ["own.acquire()", "log.append(name)", "square(turn)", "other.release()", "for turn in range(3):"]


@pytest.mark.usefixtures("first_turn")
def test_next_stays_in_the_thread_forwards_and_backwards(timeline: Timeline) -> None:
    there = [place(timeline)]
    for _ in range(17):
        assert timeline.next().reason is StopReason.STEP
        there.append(place(timeline))
    lines = ["for turn in range(3):", *TURN * 3, "last = name", "log.append(last)"]
    assert there == [(2, line) for line in lines]
    back = [place(timeline)]
    for _ in range(17):
        assert timeline.reverse_next().reason is StopReason.STEP
        back.append(place(timeline))
    assert back == there[::-1]


def test_step_goes_into_calls_of_the_thread_only(timeline: Timeline, first_turn: Tick) -> None:
    timeline.goto(first_turn)
    there = []
    while len(there) < 8:
        assert timeline.step().thread == 2
        there.append(place(timeline)[1])
    called = ["result = number * number", "return result"]
    assert there == [*TURN[:3], *called, *TURN[3:], "own.acquire()"]
    for expected in there[-2::-1]:
        timeline.reverse_step()
        assert place(timeline) == (2, expected)


def test_before_its_first_line_is_the_line_that_started_it(timeline: Timeline, first_turn: Tick) -> None:
    for motion in (timeline.reverse_step, timeline.reverse_next, timeline.reverse_finish):
        timeline.goto(first_turn)
        motion()
        assert place(timeline) == (1, "player.start()")


@pytest.mark.parametrize("name", ["step", "next", "finish"])
def test_after_its_last_line_comes_another_thread(timeline: Timeline, name: str) -> None:
    timeline.goto(timeline.entry)
    timeline.set_breakpoints([Breakpoint(1, path=str(TURNS), line=line_of("log.append(last)"))])
    ends = []
    for _ in range(2):
        timeline.run()
        ends.append(timeline.now)
    timeline.set_breakpoints([])
    assert {int(each.thread) for each in ends} == {2, 3}
    timeline.goto(ends[1].tick)
    assert getattr(timeline, name)().reason is StopReason.STEP
    assert place(timeline)[0] == 1


def test_a_breakpoint_in_another_thread_stops_a_step(timeline: Timeline, first_turn: Tick) -> None:
    timeline.goto(first_turn)
    timeline.next()
    timeline.set_breakpoints([Breakpoint(5, path=str(TURNS), line=line_of("log.append(name)"))])
    stops = []
    for _ in range(6):
        moment = timeline.next()
        stops.append((int(moment.thread), moment.breakpoints))
    timeline.set_breakpoints([])
    assert stops[0] == (2, (5,))
    assert (3, (5,)) in stops
