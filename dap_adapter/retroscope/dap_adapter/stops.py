"""Telling the client where the timeline stands: the `stopped` event."""

from __future__ import annotations

from typing import Any

from retroscope.replay.api import TimelineApi
from retroscope.replay.moments import Moment, StopReason

REASONS = {
    StopReason.ENTRY: "entry",
    StopReason.STEP: "step",
    StopReason.BREAKPOINT: "breakpoint",
    StopReason.EXCEPTION: "exception",
    StopReason.GOTO: "goto",
    # The protocol has no word for the two ends of history. "step" leaves every client able to go the other way,
    # where `terminated` would end the session.
    StopReason.BEGINNING: "step",
    StopReason.END: "step",
    StopReason.DIVERGED: "exception",  # clients show an exception's text beside the line
    StopReason.INTERRUPTED: "pause",
}

PREFIXES = {  # only what the reason does not say: there is little room where clients show this
    StopReason.BEGINNING: "beginning of the recording, ",
    StopReason.END: "end of the recording, ",
    StopReason.DIVERGED: "the replay differs from the recording, ",
    StopReason.INTERRUPTED: "paused, ",
}


def stopped_body(
    timeline: TimelineApi, moment: Moment, functions: frozenset[int], data: frozenset[int]
) -> dict[str, Any]:
    """`functions` and `data` are the numbers of the breakpoints of these kinds."""
    body: dict[str, Any] = {
        "reason": REASONS[moment.reason],
        "description": description(moment, timeline.last_tick),
        "threadId": int(moment.thread),
        "allThreadsStopped": True,
    }
    if moment.breakpoints:
        body["hitBreakpointIds"] = list(moment.breakpoints)
        for numbers, reason in ((functions, "function breakpoint"), (data, "data breakpoint")):
            if numbers.issuperset(moment.breakpoints):
                body["reason"] = reason
    spoken = moment.exception or moment.text
    if spoken:
        body["text"] = spoken
    return body


def description(moment: Moment, last_tick: int | None) -> str:
    """What a user reads: clients have no other sign that one stands in the past."""
    return PREFIXES.get(moment.reason, "") + position(moment, last_tick)


def position(moment: Moment, last_tick: int | None) -> str:
    """For example "tick 123 of 456 (in the past)"; at the last tick too, because its line has not run yet there."""
    place = f"tick {moment.tick}" if last_tick is None else f"tick {moment.tick} of {last_tick}"
    return place if moment.reason is StopReason.END else f"{place} (in the past)"
