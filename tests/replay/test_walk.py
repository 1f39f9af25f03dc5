"""The timeline of a real recording against what plain Python says under sys.settrace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from retroscope.replay.timeline import Breakpoint, Moment, StopReason, Tick, Timeline

from tests.replay.conftest import PROGRAMS, Recorder
from tests.replay.oracle import Event, events_of

WALKED = PROGRAMS / "walked.py"
SUSPENDING = PROGRAMS / "suspending.py"


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return events_of(WALKED)


@pytest.fixture(scope="module")
def ticks(walked: Timeline, events: list[Event]) -> list[Tick]:
    return ticks_of(walked, events)


def ticks_of(timeline: Timeline, events: list[Event]) -> list[Tick]:
    """The tick of each of the oracle's events, found by stepping through the whole run."""
    moment = timeline.goto(timeline.entry)
    found = []
    while moment.reason is not StopReason.END:
        found.append(moment.tick)
        moment = timeline.step()
    assert len(found) == len(events)
    return found


@pytest.fixture(scope="module")
def suspending(recorded: Recorder) -> Iterator[tuple[Timeline, list[Event], list[Tick]]]:
    """A timeline of suspending.py, the oracle's events and their ticks."""
    with Timeline.open(recorded("suspending")) as timeline:
        events = events_of(SUSPENDING)
        yield timeline, events, ticks_of(timeline, events)


def shown(timeline: Timeline) -> tuple[str, int]:
    frame = timeline.stack()[0]
    return frame.function, frame.line


def test_every_step_is_a_line_of_plain_python(walked: Timeline, events: list[Event], ticks: list[Tick]) -> None:
    for event, tick in zip(events, ticks, strict=True):
        walked.goto(tick)
        assert shown(walked) == (event.function, event.line)


def test_locals_are_those_of_plain_python(walked: Timeline, events: list[Event], ticks: list[Tick]) -> None:
    compared = 0
    for event, tick in zip(events, ticks, strict=True):
        if event.function == "<module>":
            continue
        walked.goto(tick)
        scope = walked.scopes(walked.stack()[0].id)[0]
        for value in walked.expand(scope.reference):
            assert value.name in event.locals
            if value.kind in ("int", "str", "float", "bool", "NoneType", "list", "dict", "tuple"):
                assert value.text == event.locals[value.name]
                compared += 1
            else:
                assert value.kind.rpartition(".")[2] == event.locals[value.name]
        assert len(walked.expand(scope.reference)) == len(event.locals)
    assert compared > 200


class Model:
    """Where each motion leads from an event, by brute force over the oracle's list.

    `next` and `finish` go to the frames that were on the stack; one further out counts only when the generators inside
    of it are over or are never resumed, backwards only before they began.
    """

    def __init__(self, events: list[Event], broken: set[int]) -> None:
        self.events = events
        self.broken = broken
        self.first: dict[int, int] = {}
        self.last: dict[int, int] = {}
        for at, event in enumerate(events):
            for frame in event.stack:
                self.first.setdefault(frame, at)
                self.last[frame] = at

    def after(self, at: int, wanted: Callable[[int], bool]) -> int | None:
        later = range(at + 1, len(self.events))
        return next((i for i in later if wanted(i) or self.events[i].line in self.broken), None)

    def before(self, at: int, wanted: Callable[[int], bool]) -> int | None:
        earlier = range(at - 1, -1, -1)
        return next((i for i in earlier if wanted(i) or self.events[i].line in self.broken), None)

    def go(self, name: str, at: int) -> int | None:
        ended = at >= len(self.events)
        if name.endswith("step") or (ended and not name.endswith("run")):
            return self.before(at, lambda i: True) if name.startswith("reverse_") else self.after(at, lambda i: True)
        if name.endswith("run"):
            return self.before(at, lambda i: False) if name.startswith("reverse_") else self.after(at, lambda i: False)
        stack, suspendable = self.events[at].stack, self.events[at].generators
        leaving = name.endswith("finish")

        def inner(i: int) -> list[int] | None:
            """The generators inside of the frame that the event is of; None when that was not on the stack."""
            frame = self.events[i].stack[0]
            if frame not in stack[leaving:]:
                return None
            return [each for each in stack[: stack.index(frame)] if each in suspendable]

        if name.startswith("reverse_"):
            # A generator that somebody else began than who resumed it: back to where it was resumed.
            resumed_by_another = len(stack) > 1 and self.first[stack[1]] > self.first[stack[0]]

            def wanted(i: int) -> bool:
                frames = inner(i)
                begun = leaving and i >= self.first[stack[0]] and not resumed_by_another
                not_begun = all(self.first[each] > i for each in frames or () if not (leaving and each == stack[0]))
                return frames is not None and not begun and not_begun

            return self.before(at, wanted)

        def is_wanted(i: int) -> bool:
            frames = inner(i)
            return frames is not None and all(self.last[frame] < i for frame in frames)

        there = self.after(at, is_wanted)
        if there is None and suspendable:  # what is never resumed is as good as over
            there = self.after(at, lambda i: self.events[i].stack[0] in stack[leaving:])
        return there


MOTIONS = [way + name for way in ("", "reverse_") for name in ("step", "next", "finish", "run")]


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_walks_go_where_brute_force_says(
    walked: Timeline, events: list[Event], ticks: list[Tick], data: st.DataObject
) -> None:
    walk(walked, WALKED, events, ticks, data)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_walks_through_generators_and_tasks(
    suspending: tuple[Timeline, list[Event], list[Tick]], data: st.DataObject
) -> None:
    timeline, events, ticks = suspending
    walk(timeline, SUSPENDING, events, ticks, data)


@pytest.mark.parametrize("name", ["finish", "reverse_finish"])
def test_every_generator_and_task_is_left_where_brute_force_says(
    suspending: tuple[Timeline, list[Event], list[Tick]], name: str
) -> None:
    timeline, events, ticks = suspending
    model = Model(events, set())
    for at, event in enumerate(events):
        timeline.goto(ticks[at])
        there = model.go(name, at)
        moment: Moment = getattr(timeline, name)()
        if there is not None:
            assert (event, moment.tick) == (event, ticks[there])


def walk(walked: Timeline, program: Path, events: list[Event], ticks: list[Tick], data: st.DataObject) -> None:
    """A few motions from a random place, each of them where the model says."""
    known = st.sampled_from(sorted({event.line for event in events}))
    lines = data.draw(st.sets(known, max_size=3), label="breakpoints")
    model = Model(events, lines)
    statuses = walked.set_breakpoints([Breakpoint(line, path=str(program), line=line) for line in lines])
    assert all(status.verified and status.line == status.id for status in statuses)
    try:
        at = data.draw(st.integers(0, len(events) - 1), label="start")
        walked.goto(ticks[at])
        for name in data.draw(st.lists(st.sampled_from(MOTIONS), min_size=1, max_size=8), label="walk"):
            there = model.go(name, at)
            moment: Moment = getattr(walked, name)()
            if there is None and name.startswith("reverse_"):
                assert (moment.reason, moment.tick) == (StopReason.BEGINNING, ticks[0])
                at = 0
                walked.goto(ticks[0])
            elif there is None:
                assert moment.reason is StopReason.END
                at = len(events)
                if data.draw(st.booleans(), label="leave the end"):
                    break
                continue
            else:
                at = there
                assert moment.tick == ticks[at]
                hit = events[at].line in lines
                assert (moment.reason is StopReason.BREAKPOINT) == hit
                assert shown(walked) == (events[at].function, events[at].line)
            if at == len(events):
                break
    finally:
        walked.set_breakpoints([])


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_forward_then_back_is_the_same_state(walked: Timeline, ticks: list[Tick], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(ticks) - 12))
    steps = data.draw(st.integers(1, 10))

    def state() -> tuple[object, ...]:
        frame = walked.stack()[0]
        scope = walked.scopes(frame.id)[0]
        values = [(v.name, v.text, v.kind) for v in walked.expand(scope.reference) if not v.name.startswith("__")]
        return walked.now.tick, walked.now.input, frame, values

    walked.goto(ticks[at])
    before = state()
    for _ in range(steps):
        walked.step()
    for _ in range(steps):
        walked.reverse_step()
    assert state() == before


def test_function_breakpoints_stop_where_functions_are_entered(
    walked: Timeline, events: list[Event], ticks: list[Tick]
) -> None:
    walked.goto(ticks[0])
    walked.set_breakpoints([Breakpoint(1, function="fibonacci"), Breakpoint(2, function="Account.pay")])
    expected = [i for i, e in enumerate(events) if e.entered and e.function in ("fibonacci", "Account.pay")]
    found = []
    while (moment := walked.run()).reason is StopReason.BREAKPOINT:
        found.append(moment.tick)
    assert found == [ticks[i] for i in expected]
    backwards = []
    while (moment := walked.reverse_run()).reason is StopReason.BREAKPOINT:
        backwards.append(moment.tick)
    walked.set_breakpoints([])
    assert backwards == found[::-1]


def test_conditions_hold_where_they_hold_in_plain_python(
    walked: Timeline, events: list[Event], ticks: list[Tick]
) -> None:
    walked.goto(ticks[0])
    walked.set_breakpoints([Breakpoint(1, function="fibonacci", condition="n == 1")])
    expected = [i for i, e in enumerate(events) if e.entered and e.function == "fibonacci" and e.locals["n"] == "1"]
    found = []
    while (moment := walked.run()).reason is StopReason.BREAKPOINT:
        found.append(moment.tick)
    backwards = []
    while (moment := walked.reverse_run()).reason is StopReason.BREAKPOINT:
        backwards.append(moment.tick)
    walked.set_breakpoints([])
    assert found == [ticks[i] for i in expected]
    assert backwards == found[::-1]


def test_a_condition_that_fails_stops_and_says_so(walked: Timeline, ticks: list[Tick]) -> None:
    walked.goto(ticks[0])
    walked.set_breakpoints([Breakpoint(4, function="fibonacci", condition="missing > 1")])
    moment = walked.run()
    walked.set_breakpoints([])
    assert (moment.reason, moment.breakpoints) == (StopReason.BREAKPOINT, (4,))
    assert "missing" in moment.text


def test_exceptions_are_stops_in_both_directions(walked: Timeline, ticks: list[Tick]) -> None:
    walked.goto(ticks[0])
    walked.break_on_raised = True
    try:
        first, second = walked.run(), walked.run()
        assert (first.exception, second.exception) == ("ValueError: ada has only 40", "KeyError: 'b'")
        assert walked.run().reason is StopReason.END
        back = [walked.reverse_run() for _ in range(3)]
    finally:
        walked.break_on_raised = False
    assert [moment.tick for moment in back[:2]] == [second.tick, first.tick]
    assert back[2].reason is StopReason.BEGINNING


def test_the_failure_can_be_gone_to_and_caught(walked: Timeline, ticks: list[Tick]) -> None:
    failure = walked.goto_failure()
    assert (failure.exception, shown(walked)[0]) == ("KeyError: 'b'", "main")
    walked.goto(ticks[0])
    walked.break_on_uncaught = True
    try:
        assert walked.run().tick == failure.tick
        assert walked.run().reason is StopReason.END
        assert walked.reverse_run().tick == failure.tick
        assert walked.reverse_run().reason is StopReason.BEGINNING
    finally:
        walked.break_on_uncaught = False


def test_leaving_a_generator_that_is_given_up_stops_where_it_yielded_to(
    suspending: tuple[Timeline, list[Event], list[Tick]],
) -> None:
    """It is never resumed, and dies some lines later."""
    timeline, events, ticks = suspending
    inside = (at for at, event in enumerate(events) if event.function == "doubled")
    at = max(at for at in inside if "abandon" in names_on(events, at))
    expected = next(ticks[i] for i in range(at, len(events)) if events[i].function == "abandon")
    for motion in (timeline.next, timeline.finish):
        timeline.goto(ticks[at])
        assert motion().tick == expected


def names_on(events: list[Event], at: int) -> set[str]:
    """The functions of the program's own frames on the stack."""
    functions = {event.stack[0]: event.function for event in events}
    return {functions[frame] for frame in events[at].stack}
