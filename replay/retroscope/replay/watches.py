"""Watches: values whose changes stop a motion, in both directions.

A watch looks at the place that its expression meant where it was set (the slot of a variable, attribute or item of that
very object), so whoever writes there is caught, by whatever name. The core compares memory at each line; what it finds
is looked at from both sides, because memory also changes when things move.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from retroscope.replay.last_write import (
    LastWrite,
    NeverWritten,
    OutOfSight,
    State,
    Subject,
    Write,
    state_in,
    subject_of,
)
from retroscope.replay.legs import Search
from retroscope.replay.moments import ReplayError
from retroscope.replay.motion import Motion
from retroscope.replay.process import ReplayProcess
from retroscope.replay.protocol import Match, Want, Watched


@dataclass(frozen=True)
class Watchable:
    """A place that can be watched, as it was found at some moment; `text` is the value that it had."""

    expression: str
    text: str
    subject: Subject
    tick: int
    """The moment: whatever was at the place before belonged to others."""


@dataclass(frozen=True)
class _Watch:
    id: int
    expression: str
    subject: Subject
    tick: int


class Watches:
    """Those of one timeline. `begin` before a motion forwards, then `changes` wherever the core saw one."""

    def __init__(self, motion: Motion) -> None:
        self._motion = motion
        self._watches: list[_Watch] = []
        self._states: dict[int, State | None] = {}
        self._lost: list[str] = []
        """Those that the last search for a change could not follow to its end."""

    def __bool__(self) -> bool:
        return bool(self._watches)

    def prepare(self, expression: str, frame: int) -> Watchable:
        """What `expression` means in a frame of the current moment. LookFailed says why it cannot be watched."""
        subject = subject_of(self._motion.current, expression, frame)
        state = state_in(self._motion.current, subject)
        if state is None:
            raise ReplayError(f"{expression} has no value here")
        _check_size([(expression, state)])
        return Watchable(expression, state.text, subject, self._motion.current.tick)

    def add(self, number: int, watched: Watchable) -> None:
        """Watches this place, at any moment at which it exists."""
        self._watches.append(_Watch(number, watched.expression, watched.subject, watched.tick))

    def keep(self, numbers: Iterable[int]) -> None:
        """Forgets all others."""
        kept = set(numbers)
        self._watches = [watch for watch in self._watches if watch.id in kept]

    def begin(self) -> None:
        """Takes down what the values are at the current moment."""
        self._states = {watch.id: state_in(self._motion.current, watch.subject) for watch in self._watches}

    def watched(self) -> Watched | None:
        """What says whether a value changes; None when none of the places exists."""
        known = [(watch.expression, self._states[watch.id]) for watch in self._watches]
        return _check_size([(text, state) for text, state in known if state is not None])

    def changes(self, match: Match) -> list[tuple[int, str]]:
        """(number, sentence) of each watch whose value is another one at the current moment, where `match` is."""
        found = []
        for watch in self._watches:
            before = self._states[watch.id]
            if before is None:
                continue
            now = self._states[watch.id] = state_in(self._motion.current, watch.subject)
            if before.is_the_same_as(now) and (match.value_is_reborn or match.owner_is_reborn):
                before = self._reborn(before, match.tick)
            if before is None or not before.is_the_same_as(now):
                found.append((watch.id, _sentence(watch.expression, before, now)))
        return found

    def _reborn(self, state: State, tick: int) -> State | None:
        """The state before `tick` of a watch, one of several, if its value is another one since that looks the same;
        None if the object is that it belongs to."""
        match = next(self._motion.backward(Search(Want.WATCH, watched=state.watched), tick + 1), None)
        if match is None or match.tick != tick or not (match.value_is_reborn or match.owner_is_reborn):
            return state
        return state.reborn(match.owner_is_reborn)

    def unseen(self) -> str:
        """A remark about watches that cannot be followed from the current moment on, or that `last` could not follow;
        empty when all can."""
        current = self._motion.current
        process = self._motion.stand(current.tick) if current.over else current
        names = [watch.expression for watch in self._watches if state_in(process, watch.subject) is None]
        if process is not current:
            self._motion.give_back(process)
        remark = ""
        if names:
            remark = f"; not watched on the way, for there was no place for it to begin with: {', '.join(names)}"
        if self._lost:
            remark += f"; not watched all the way, for its place was something else's: {', '.join(self._lost)}"
        return remark

    def last(self, visible_only: bool) -> tuple[int, Write] | None:
        """(number, write) of the last change before the current moment; None when nothing that exists was changed."""
        found = []
        self._lost = []
        current = self._motion.current
        process = self._motion.stand(current.tick) if current.over else current
        try:
            for watch in self._watches:
                write = self._last_of(watch, process, visible_only)
                if write is not None:
                    found.append((watch.id, write))
        finally:
            if process is not current:
                self._motion.give_back(process)
        return max(found, key=lambda each: each[1].tick, default=None)

    def _last_of(self, watch: _Watch, process: ReplayProcess, visible_only: bool) -> Write | None:
        state = state_in(process, watch.subject)
        if state is None:
            return None
        try:
            return LastWrite(self._motion, watch.expression, watch.subject, state, None, watch.tick).find(visible_only)
        except OutOfSight:
            self._lost.append(watch.expression)
            return None
        except NeverWritten:
            return None


def _check_size(states: Iterable[tuple[str, State]]) -> Watched | None:
    all_of_them = Watched((), ())
    for expression, state in states:
        all_of_them = all_of_them.with_those_of(state.watched)
        if all_of_them.is_too_much():
            raise ReplayError(f"{expression} has too many items to watch them all; watch one of them")
    return all_of_them if all_of_them.ranges else None


def _sentence(expression: str, before: State | None, now: State | None) -> str:
    if before is None:
        text = now.text if now else "nothing"
        return f"{expression} is {text} now, of another object than before in the same memory"
    if now is None:
        return f"{expression} is gone, its place does not exist any more; it was {before.text}"
    if not now.value:
        return f"{expression} has lost its value, it was {before.text}"
    if not before.value:
        return f"{expression} is {now.text} now, it had no value before"
    if before.text == now.text and before.value == now.value:
        return f"the items of {expression} have changed"
    if before.text == now.text:
        return f"{expression} is {now.text} now, it was another one that looks the same"
    return f"{expression} is {now.text} now, it was {before.text}"
