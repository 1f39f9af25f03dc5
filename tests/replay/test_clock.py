"""Places by the time: against the times that the program itself got."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from retroscope.replay.clock import parse_time, told_before
from retroscope.replay.timeline import ReplayError, Timeline

from tests.replay.conftest import PROGRAMS, Recorder
from tests.replay.test_prompt import answers

LINE = next(n for n, line in enumerate((PROGRAMS / "clocked.py").read_text().splitlines(), 1) if "first line" in line)


@pytest.fixture(scope="module")
def timeline(recorded: Recorder) -> Iterator[Timeline]:
    with Timeline.open(recorded("clocked")) as timeline:
        yield timeline


@pytest.fixture(scope="module")
def stamps(timeline: Timeline) -> list[float]:
    timeline.goto_end()
    timeline.reverse_step()
    return [float(text) for text in timeline.evaluate("stamps").text.strip("[]").split(",")]


def told(text: str) -> float:
    """Seconds after the start that the moment's text names."""
    found = re.match(r"here it was [\d:.]+, (\d+\.\d+) seconds after the start; the next time known is ", text)
    assert found, text
    return float(found[1])


@pytest.mark.parametrize("way", ["since the start", "of the day", "with the date"])
def test_a_time_leads_to_where_the_program_was(timeline: Timeline, stamps: list[float], way: str) -> None:
    start = timeline.recording.process.started
    for number in range(3, 11):
        asked = stamps[number] + 0.005  # in the wait that follows
        text = {
            "since the start": f"+{asked - start:.6f}s",
            "of the day": datetime.fromtimestamp(asked).strftime("%H:%M:%S.%f"),
            "with the date": datetime.fromtimestamp(asked).strftime("%Y-%m-%d %H:%M:%S.%f"),
        }[way]
        moment = timeline.goto_time(text)
        assert timeline.stack()[0].line == LINE
        assert timeline.evaluate("number").text == str(number)
        known, following = told_before(timeline.recording, asked)
        assert stamps[number - 1] <= known.time <= stamps[number] < asked
        assert following is not None and asked < following.time
        assert told(moment.text) == round(known.time - start, 3)


def test_beyond_either_end(timeline: Timeline, stamps: list[float]) -> None:
    assert "no later time is known" in timeline.goto_time("+10h").text
    late = timeline.now.tick
    assert timeline.goto_time("+0").tick < late


@pytest.mark.parametrize(
    ("text", "seconds"), [("+3.5s", 3.5), ("+250ms", 0.25), ("+ 2 min", 120), ("+1h", 3600), ("+7", 7)]
)
def test_times_since_the_start(text: str, seconds: float) -> None:
    assert parse_time(text, 1_000_000.0) == 1_000_000.0 + seconds


def test_times_of_the_day() -> None:
    start = datetime(2024, 5, 6, 23, 50).timestamp()
    assert parse_time("23:55", start) == datetime(2024, 5, 6, 23, 55).timestamp()
    assert parse_time("0:05:01.5", start) == datetime(2024, 5, 7, 0, 5, 1, 500000).timestamp()
    assert parse_time("2024-05-08T01:02", start) == datetime(2024, 5, 8, 1, 2).timestamp()
    for wrong in ("", "12", "25:00", "+", "+1 day", "12:61"):
        assert parse_time(wrong, start) is None


@pytest.mark.alone
def test_at_the_prompt(recorded: Recorder, tmp_path: Path) -> None:
    said = answers(recorded("clocked"), "goto +0.2s", "tick").splitlines()
    assert told(said[0]) < 0.2
    assert " · tick " in said[0] and said[2].startswith("tick ")


def test_what_is_no_time(timeline: Timeline) -> None:
    with pytest.raises(ReplayError, match=r"'noon' is no time; say 12:34:56\.789"):
        timeline.goto_time("noon")
