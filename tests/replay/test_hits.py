"""Places by the number of their hits, exceptions by their types, and messages, against the list of all lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from retroscope.replay.hit_conditions import parse_hits
from retroscope.replay.messages import BadMessage, parse_message
from retroscope.replay.timeline import Breakpoint, Moment, ReplayError, StopReason, Tick, Timeline

from tests.replay.conftest import PROGRAMS, Recorded, Recorder
from tests.replay.oracle import Event, events_of
from tests.replay.test_prompt import answers, scripted

WALKED = PROGRAMS / "walked.py"


@pytest.fixture(scope="module")
def lines(walked: Timeline) -> list[tuple[Event, Tick]]:
    """Every line that plain Python runs, with its tick."""
    moment = walked.goto(walked.entry)
    ticks = []
    while moment.reason is not StopReason.END:
        ticks.append(moment.tick)
        moment = walked.step()
    return list(zip(events_of(WALKED), ticks, strict=True))


@pytest.fixture
def timeline(walked: Timeline) -> Iterator[Timeline]:
    yield walked
    walked.set_breakpoints([])
    walked.break_on_raised = walked.break_on_uncaught = False
    walked.raised_types = walked.uncaught_types = ()
    walked.on_message = lambda *_: None


Lines = list[tuple[Event, Tick]]


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_nth_hit(timeline: Timeline, lines: Lines, data: st.DataObject) -> None:
    line = data.draw(st.sampled_from(sorted({event.line for event, _ in lines})))
    ticks = [tick for event, tick in lines if event.line == line]
    number = data.draw(st.integers(1, len(ticks)))
    timeline.goto(data.draw(st.sampled_from([tick for _, tick in lines])))
    moment = timeline.goto_hit(Breakpoint(0, path=str(WALKED), line=line), number)
    assert (moment.tick, moment.reason) == (ticks[number - 1], StopReason.BREAKPOINT)
    with pytest.raises(ReplayError, match="it happened"):
        timeline.goto_hit(Breakpoint(0, path=str(WALKED), line=line), len(ticks) + 1)
    assert timeline.now == moment


FORMS: dict[str, Callable[[int], bool]] = {
    "3": lambda n: n == 3, "== 2": lambda n: n == 2, ">= 4": lambda n: n >= 4, ">6": lambda n: n > 6,
    "<= 2": lambda n: n <= 2, "< 3": lambda n: n < 3, "% 4": lambda n: n % 4 == 0, "% 5 == 2": lambda n: n % 5 == 2,
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("condition", [None, "n > 1"])
def test_hit_conditions_in_both_directions(
    timeline: Timeline, lines: Lines, form: str, condition: str | None
) -> None:
    fits = [(event, tick) for event, tick in lines if event.line == line_of("if n < 2")]
    if condition:
        fits = [(event, tick) for event, tick in fits if event.locals["n"] not in ("0", "1")]
    wanted = [tick for number, (_, tick) in enumerate(fits, 1) if FORMS[form](number)]
    assert wanted
    (status,) = timeline.set_breakpoints(
        [Breakpoint(1, path=str(WALKED), line=line_of("if n < 2"), condition=condition, hits=form)]
    )
    assert status.verified
    timeline.goto(timeline.entry)
    assert walk(timeline.run, StopReason.END) == wanted
    assert walk(timeline.reverse_run, StopReason.BEGINNING) == wanted[::-1]


def walk(motion: Callable[[], Moment], last: StopReason) -> list[Tick]:
    found = []
    while True:
        moment = motion()
        if moment.reason is last:
            return found
        assert moment.breakpoints == (1,)
        found.append(moment.tick)


def line_of(text: str) -> int:
    return next(n for n, line in enumerate(WALKED.read_text().splitlines(), 1) if text in line)


@pytest.mark.parametrize("text", ["", "x", "3 == 2", "% 0", "-1", ">= ", "% 2 > 1"])
def test_what_is_no_hit_condition(timeline: Timeline, text: str) -> None:
    assert parse_hits(text) is None
    (status,) = timeline.set_breakpoints([Breakpoint(1, path=str(WALKED), line=line_of("if n < 2"), hits=text)])
    assert not status.verified and "does not say which hits" in status.message


def test_exceptions_by_type(timeline: Timeline) -> None:
    timeline.goto(timeline.entry)
    timeline.break_on_raised = True
    for types, texts in [
        ((), ["ValueError: ada has only 40", "KeyError: 'b'"]),
        (("LookupError",), ["KeyError: 'b'"]),
        (("OSError", "ValueError"), ["ValueError: ada has only 40"]),
        (("OSError",), []),
    ]:
        timeline.raised_types = types
        assert raised(timeline.run, StopReason.END) == texts
        assert raised(timeline.reverse_run, StopReason.BEGINNING) == texts[::-1]
    assert [timeline.goto_raise(n).exception for n in (1, 2)] == ["ValueError: ada has only 40", "KeyError: 'b'"]
    assert timeline.goto_raise(1, ["KeyError"]).exception == "KeyError: 'b'"
    with pytest.raises(ReplayError, match="it happened once, not 2 times"):
        timeline.goto_raise(2, ["KeyError"])
    with pytest.raises(ReplayError, match="it never happened"):
        timeline.goto_raise(1, ["OSError"])


def raised(motion: Callable[[], Moment], last: StopReason) -> list[str | None]:
    found = []
    while (moment := motion()).reason is not last:
        assert moment.reason is StopReason.EXCEPTION
        found.append(moment.exception)
    return found


def test_uncaught_exceptions_by_type(timeline: Timeline) -> None:
    timeline.break_on_uncaught = True
    for types, stops in [(("ValueError",), False), (("LookupError",), True), ((), True)]:
        timeline.goto(timeline.entry)
        timeline.uncaught_types = types
        assert (timeline.run().reason is StopReason.EXCEPTION) == stops


def test_messages_are_said_in_both_directions(timeline: Timeline) -> None:
    said: list[tuple[int, str]] = []
    timeline.on_message = lambda each, tick, text: said.append((each.id, text))
    timeline.set_breakpoints([
        Breakpoint(1, function="Account.pay", message="{self.owner} pays {amount}", condition="amount != 50"),
        Breakpoint(2, function="Account.pay", hits="2", message="{{{missing}}}"),
    ])  # fmt: skip
    timeline.goto(timeline.entry)
    assert timeline.run().reason is StopReason.END
    first, middle, last = (1, "ada pays 20"), (2, "{{NameError: name 'missing' is not defined}}"), (1, "ada pays 30")
    assert said == [first, middle, last]
    assert timeline.reverse_run().reason is StopReason.BEGINNING
    assert said[3:] == [last, middle, first]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("plain", [(False, "plain")]),
        ("{a}{b}", [(True, "a"), (True, "b")]),
        ("a {{b}} {c['x']} d", [(False, "a {b} "), (True, "c['x']"), (False, " d")]),
        ("{ {1: {2}} }", [(True, "{1: {2}}")]),
    ],
)
def test_messages_are_taken_apart(text: str, parts: list[tuple[bool, str]]) -> None:
    assert parse_message(text) == parts


@pytest.mark.parametrize("text", ["{", "a }", "{a", "{}", "{ }"])
def test_what_is_no_message(timeline: Timeline, text: str) -> None:
    with pytest.raises(BadMessage):
        parse_message(text)
    (status,) = timeline.set_breakpoints([Breakpoint(1, function="main", message=text)])
    assert not status.verified and status.message.startswith("the message cannot be read: ")


def test_at_the_prompt(recorded: Recorder) -> None:
    trace: Path = recorded("walked")
    said = answers(
        trace, "break fibonacci if n == 2, hit % 2", "c", "c", "rc", "break", "goto hit fibonacci 3",
        "goto hit 3 fibonacci", "log Account.pay '{self.owner}: {amount}'", "goto raise 1 KeyError",
        "catch raised LookupError, OSError",
        "catch uncaught", "catch raised off",
    ).splitlines()  # fmt: skip
    assert said[0] == "breakpoint 1 at fibonacci if n == 2, hit % 2"
    assert said[1] == said[5] and said[3] != said[1]
    assert said[7] == "1  fibonacci if n == 2, hit % 2"
    assert said[8] == said[10] and said[8].startswith("breakpoint · tick ")
    assert [row.partition("  ")[2] for row in said[12:15]] == ["ada: 20", "ada: 50", "ada: 30"]
    assert said[16].startswith("exception: KeyError: 'b' raised here · tick")
    assert said[18:] == [
        "exceptions that stop: raised LookupError OSError",
        "exceptions that stop: raised LookupError OSError, uncaught", "exceptions that stop: uncaught",
    ]  # fmt: skip
    for wrong, sentence in {
        "goto hit fibonacci": "which hit of what?", "goto hit 99 fibonacci": "it happened 23 times, not 99 times",
        "goto raise": "which one?", "catch raised 7": "'7' is no name", "break main, hit x": "'x' does not say which",
        "log main 'a {'": "the text cannot be read: a { without a }",
    }.items():  # fmt: skip
        failed = scripted(trace, wrong)
        assert failed.returncode == 1 and failed.stderr.startswith(f"scope: {sentence}"), (wrong, failed.stderr)


GROUPS = """
class Odd(Exception):
    pass

def both():
    try:
        raise ExceptionGroup("first", [ValueError(1), TypeError(2)])
    except* ValueError:
        raise Odd("one")
    except* TypeError:
        raise Odd("two")

both()
"""


def test_what_ends_the_program_is_what_except_made_of_several(record_text: Recorded) -> None:
    """The line that raised the last of them raised the group too, but nobody failed to catch that one alone."""
    trace = record_text(GROUPS)[1]
    said = answers(
        trace, "goto failure", "goto 10", "catch uncaught Odd", "c", "goto raise 1 Odd",
        "catch uncaught ExceptionGroup", "goto 10", "c",
    )  # fmt: skip
    assert said.count("exception: ExceptionGroup:  (2 sub-exceptions) raised here and never caught") == 2
    assert said.count("raise Odd(\"two\")") == 2
    assert "the end: the program is over, exit status 1, after an uncaught ExceptionGroup" in said
    assert "exception: Odd: one raised here" in said, "as a traceback names a type of the program itself"


WITHIN_A_LINE = """
class Bad(Exception):
    def __init__(self, what):
        super().__init__(what)
        self.what = what

class Thing:
    def __repr__(self):
        return "thing"

def check(thing):
    raise Bad(f"{thing!r} is bad")

def again(thing):
    try:
        check(thing)
    except Bad as error:
        raise error

again(Thing())
"""


def test_an_exception_of_a_line_that_called_something_first_says_where_it_is_raised(record_text: Recorded) -> None:
    """The last line that began is then one of what was called: who raises it is said."""
    trace = record_text(WITHIN_A_LINE)[1]
    said = answers(trace, "goto failure", "goto raise 2 Bad").splitlines()
    assert said[0].startswith(
        "exception: Bad: thing is bad raised after this line, at program.py:12 in check, and never caught · tick "
    )
    assert said[0].endswith("program.py:5 in Bad.__init__")
    assert said[2].startswith("exception: Bad: thing is bad raised here · tick ")
    assert said[2].endswith("program.py:18 in again")
