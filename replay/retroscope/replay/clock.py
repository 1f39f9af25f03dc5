"""Wall-clock time in a recording: which input came at which time.

The recorder writes the time after what the program writes out, and at most a hundred times a second after other calls
that may wait. Between two such records the time is not known, only that it lies between theirs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from retroscope.replay.moments import InputId, ReplayError
from retroscope.replay.recording import Recording

_SINCE_START = re.compile(r"\+\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|m|min|h)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_OF_DAY = re.compile(r"(?:(?P<date>\d{4}-\d\d-\d\d)[T ])?(?P<clock>\d{1,2}:\d\d(?::\d\d(?:\.\d{1,6})?)?)")


@dataclass(frozen=True)
class Told:
    """The time that was recorded as number `input`: seconds since the epoch."""

    input: InputId
    time: float


@dataclass(frozen=True)
class FoundTime:
    """The time was told as number `input`, right after a call; `text` says how exactly the time is known there."""

    input: InputId
    text: str


def find_time(recording: Recording, text: str) -> FoundTime:
    """The last time told that is not after the one that `text` says, else the first. ReplayError: it says none."""
    start = recording.process.started
    time = parse_time(text, start)
    if time is None:
        raise ReplayError(f"{text!r} is no time; say 12:34:56.789, or +3.5s for that long after the start")
    told, following = told_before(recording, time)
    place = f"here it was {time_text(told.time)}, {told.time - start:.3f} seconds after the start; "
    return FoundTime(told.input, place + _what_follows(following))


def _what_follows(following: Told | None) -> str:
    if following is None:
        return "no later time is known"
    return f"the next time known is {time_text(following.time)}"


def told_before(recording: Recording, time: float) -> tuple[Told, Told | None]:
    """The last that was told not after `time`, else the first of all, and the next one. ReplayError: there is none.

    It is fenced in by halving: told times grow with the inputs, as long as nobody sets the clock back.
    """
    low = told_from(recording, recording.first_input)
    if low is None:
        raise ReplayError("the recording holds no clock times: it is too short, or was made by an older version")
    high = recording.inputs
    while high - low.input > 1:
        middle = (low.input + high) // 2
        found = told_from(recording, middle)
        if found is None or found.input >= high or found.time > time:
            high = middle
        else:
            low = found
    return low, told_from(recording, low.input + 1)


def told_from(recording: Recording, number: int) -> Told | None:
    """The next that was told from an input on, None when there is none."""
    for found, _, kind, value in recording.records_from(number):
        if kind == "clock" and isinstance(value, tuple) and isinstance(value[0], float):
            return Told(InputId(found), value[0])
    return None


def parse_time(text: str, start: float) -> float | None:
    """Seconds since the epoch of `+3.5s`, `12:34:56.789` or `2024-05-06 12:34`; None when it is none of these.

    A time of day is the first such one that is not before the recording's start, in this machine's time zone.
    """
    text = text.strip()
    if match := _SINCE_START.fullmatch(text):
        return start + float(match["number"]) * _UNITS[match["unit"] or "s"]
    match = _OF_DAY.fullmatch(text)
    if match is None:
        return None
    began = datetime.fromtimestamp(start)
    hour, colon, others = match["clock"].partition(":")
    try:
        moment = datetime.fromisoformat(f"{match['date'] or began.date().isoformat()}T{hour:0>2}{colon}{others}")
    except ValueError:
        return None
    if not match["date"] and moment < began.replace(microsecond=0) - timedelta(hours=12):
        moment += timedelta(days=1)
    return moment.timestamp()


def time_text(time: float) -> str:
    """A time of day to the millisecond, in this machine's time zone."""
    return datetime.fromtimestamp(time).strftime("%H:%M:%S.%f")[:-3]

