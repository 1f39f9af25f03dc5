"""Where does a replay begin to differ? Two replays of one recording are stepped side by side and compared.

Where they differ from each other, something that is not recorded decides what the program does: the first differing
line is found by bisection. Where they agree to the end, replay is not to blame: what is missing was missed while
recording. Compared are the stack of the running thread and the variables of its innermost frames, as they are shown.
First two forks of one process, which have every address in common; then two that were started apart, without what looks
like an address.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from retroscope.replay.launch import launcher_of
from retroscope.replay.looking import Looker, LookFailed
from retroscope.replay.moments import ReplayError
from retroscope.replay.process import ReplayProcess
from retroscope.replay.protocol import Reason, Stopped
from retroscope.replay.recording import Recording

FRAMES = 3  # whose variables are compared
MOST_LINES = 12  # shown of those run since the last agreeing input
_FAR = 1 << 62
_ADDRESS = re.compile(r"0x[0-9a-f]+|\b\d{14,15}\b")  # in hexadecimal, or as a decimal number below 2**47

Place = tuple[str, int, str]
"""Path, line, function."""


@dataclass(frozen=True)
class State:
    """What is compared of one moment."""

    stack: tuple[Place, ...]
    variables: tuple[tuple[str, str], ...]


class Diagnosis:
    """Replays of one recording, kept at tick 0. `close` ends them."""

    def __init__(self, recording: Recording) -> None:
        if recording.ancestors:
            raise ReplayError("a process that was forked cannot be diagnosed by itself; diagnose the one that began")
        self._recording = recording
        launch, self._end_launching = launcher_of(recording)
        self._roots: list[ReplayProcess] = []
        self._pair: tuple[ReplayProcess, ReplayProcess]
        self._ends: list[Stopped] = []
        try:
            self._roots = [launch(), launch()]
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for root in self._roots:
            root.close()
        self._end_launching()

    def text(self, progress: Callable[[int], None] = lambda left: None) -> str:
        """The whole finding, in lines. `progress` is told how many ticks are still in question."""
        one, other = self._roots
        for self._pair in ((one, one), (one, other)):
            self._ends = [_to_the_end(root) for root in self._pair]
            over = min(end.tick for end in self._ends)
            if all(self._is_good(end) for end in self._ends):
                continue
            if over and (self._differs(over) or self._ends[0].tick != self._ends[1].tick):
                return self._where_they_part(over, progress)
        if all(self._is_good(end) for end in self._ends):
            return "Further replays went to the end of the record: what differed before did not differ again."
        return self._where_both_stop(over)

    def _is_good(self, end: Stopped) -> bool:
        """Did the replay end as the recorded program did?"""
        if end.reason is not Reason.END or end.input < self._recording.inputs:
            return False
        signal = json.loads(end.text or "{}").get("signal")
        return signal is None or self._recording.process.ended == "signal"

    # -- they differ

    def _where_they_part(self, over: int, progress: Callable[[int], None]) -> str:
        same, differ = 0, over
        while differ - same > 1:
            progress(differ - same)
            middle = (same + differ) // 2
            if self._differs(middle):
                differ = middle
            else:
                same = middle
        if not self._differs(differ):
            return (
                f"Two replays end at different ticks ({self._ends[0].tick} and {self._ends[1].tick}), and agree in all "
                f"that can be seen up to tick {differ}: what differs is out of sight, in C code."
            )
        one, other = (self._state(root, differ) for root in self._pair)
        before = self._state(self._pair[0], same).stack[0] if same else None
        lines = [f"Two replays of this recording differ from tick {differ} on: something that is not recorded decides."]
        if before:
            lines.append(f"The line run just before, the first that differs: {self._shown(before)}")
        lines.append(f"Then, at {self._shown(one.stack[0])}" if one.stack == other.stack else _two_ways(one, other))
        lines += [f"  {name} is {text} in one and {dict(other.variables).get(name, 'not there')} in the other"
                  for name, text in one.variables if dict(other.variables).get(name) != text]  # fmt: skip
        return "\n".join(lines)

    def _differs(self, tick: int) -> bool:
        one, other = (self._state(root, tick) for root in self._pair)
        return one != other

    def _state(self, root: ReplayProcess, tick: int) -> State:
        process = root.fork()
        try:
            process.run(tick)
            with Looker(process) as looker:
                return _seen_by(looker, addresses=self._pair[0] is self._pair[1])
        finally:
            process.kill()

    # -- they agree

    def _where_both_stop(self, over: int) -> str:
        input = self._ends[0].input
        began = self._first_tick_with(input, over)
        lines = [
            f"Two replays agree with each other in all of their {over} ticks, so the replay is repeatable: while it "
            "was recorded, the program met something there that the recording does not have."
        ]
        if input:
            number, name, _ = next(self._recording.input_lines(input - 1))
            lines.append(f"It came after input {number} ({name}), the last that agreed, at tick {began}.")
        lines.append(f"{over - began + 1} lines were run since, the last of them:")
        for tick in range(max(began, over - MOST_LINES + 1), over + 1):
            lines.append(f"  tick {tick}: {self._shown(self._state(self._roots[0], tick).stack[0])}")
        return "\n".join(lines)

    def _first_tick_with(self, input: int, over: int) -> int:
        """The first tick at which `input` inputs have been used, or the line at which the last one was."""
        before, there = 0, over
        while there - before > 1:
            middle = (before + there) // 2
            process = self._roots[0].fork()
            try:
                before, there = (before, middle) if process.run(middle).input >= input else (middle, there)
            finally:
                process.kill()
        return max(there - 1, 1)

    def _shown(self, place: Place) -> str:
        path, line, function = place
        text = (self._recording.source(path) or "").splitlines()
        source = f": {text[line - 1].strip()}" if 0 < line <= len(text) else ""
        return f"{path}:{line} in {function}{source}"


def _two_ways(one: State, other: State) -> str:
    there, here = (f"{path}:{line} in {function}" for path, line, function in (one.stack[0], other.stack[0]))
    return f"Then one goes to {there}, the other to {here}"


def _to_the_end(root: ReplayProcess) -> Stopped:
    """Where a replay ends; the root stays at 0."""
    scout = root.fork()
    try:
        return scout.run(_FAR)
    finally:
        scout.kill()


def _variables(looker: Looker, frame: int) -> list[tuple[str, str]]:
    try:
        scopes = looker.ask("scopes", frame)
        rows = looker.ask("children", scopes[0][1], 0, None) if scopes else []
    except LookFailed as error:
        return [("the variables", f"cannot be shown ({error})")]
    return [(str(row[0]), str(row[1])) for row in rows]


def _seen_by(looker: Looker, *, addresses: bool) -> State:
    frames = looker.ask("stack", 0)
    stack = tuple((str(frame[2]), int(frame[3]), str(frame[1])) for frame in frames)
    variables: list[tuple[str, str]] = []
    for frame in frames[:FRAMES]:
        for name, text in _variables(looker, int(frame[0])):
            variables.append((name, text if addresses else _ADDRESS.sub("…", text)))
    return State(stack, tuple(variables))
