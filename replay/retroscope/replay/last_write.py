"""Back to the line that made a value what it is: a memory watch run backwards, and every finding checked.

Memory changes for other reasons too, for instance when a dictionary grows and its items move. So each change that the
watch reports is looked at from both sides, and the search goes on from there when the value was the same before.
"""

from __future__ import annotations

import dis
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from retroscope.replay.index import Index, NotIndexed, UnusableIndex
from retroscope.replay.index_stores import freed_since, last_store
from retroscope.replay.legs import Search
from retroscope.replay.looking import Looker, LookFailed
from retroscope.replay.moments import ReplayError
from retroscope.replay.motion import Motion
from retroscope.replay.process import ReplayProcess
from retroscope.replay.protocol import ANY_THREAD, Marks, Match, Want, Watched

_DEAD = -1
"""The identity of an object that has died."""

Subject = list[Any]
"""What the inspector made of an expression: see `inspector_watches.py`."""


@dataclass(frozen=True)
class State:
    """What a subject is at one moment. `value` 0: it has none, but may come to have one."""

    value: int
    items: int
    text: str
    watched: Watched

    @property
    def slot(self) -> int:
        """The address where it is kept."""
        return self.watched.ranges[0][0]

    def is_the_same_as(self, other: State | None) -> bool:
        return other is not None and (self.value, self.items) == (other.value, other.items)

    def reborn(self, owner: bool) -> State | None:
        """Of a value that has left its address to another one since; None if the `owner` of its place has."""
        return None if owner else replace(self, value=_DEAD)


@dataclass(frozen=True)
class Write:
    """The line of `tick` changes the value; `text` says how, in a sentence."""

    tick: int
    text: str


class NeverWritten(ReplayError):
    """No line of the recording did it: the whole of it was searched."""


class OutOfSight(NeverWritten):
    """Not known before some tick, where the place was that of something else."""


class LastWrite:
    """One question on the current moment of `motion`."""

    def __init__(
        self,
        motion: Motion,
        expression: str,
        subject: Subject,
        state: State | None = None,
        index: Index | None = None,
        since: int | None = None,
    ) -> None:
        """`index`: where the answer is looked up first; None: it is searched for. `since`: a tick at which the subject
        was there; None: it is there now."""
        self._motion = motion
        self._index = index
        self._expression = expression
        self._subject = subject
        self._since = motion.current.tick if since is None else since
        self._state = state or state_in(motion.current, subject)
        if self._state is None:
            raise ReplayError(f"{expression} has no value here")

    def find(self, visible_only: bool) -> Write:
        """Raises ReplayError when no line of the recording did it. The current process stays where it is."""
        known = self._look_up(visible_only)
        if known is not None:
            return known
        began = self._beginning()
        try:
            change = self._last_change()
        except NeverWritten:
            if began is None:
                raise
            return self._passed(began, visible_only)
        if began is not None and change.tick <= began:
            return self._passed(began, visible_only)
        return self._written(change, visible_only)

    def _last_change(self) -> Match:
        """The line event before which the value was last another one."""
        state, upto = self._state, self._motion.current.tick
        while True:
            assert state is not None
            change = self._change_before(state, upto)
            before = self._before(change)
            if before is None and not state.value:
                before = self._of_another(change)
            if not state.is_the_same_as(before):
                return change
            state, upto = before, change.tick - 1

    def _of_another(self, change: Match) -> State:
        """What it was before a change since which its place has no value: the object that has it has died there."""
        if not change.owner_is_reborn or change.tick <= self._since:
            raise NeverWritten(f"{self._expression} never had a value")
        before = self._state_at(change.tick - 1)
        if before is None:
            raise OutOfSight(f"before tick {change.tick} the place of {self._expression} was that of something else")
        return before

    def _written(self, change: Match, visible_only: bool) -> Write:
        state, before = self._state, self._before(change)
        assert state is not None
        is_own = self._is_local and (before is None or before.value != state.value)  # else others may change its items
        if is_own and self._pauses and not self._is_made_at(change):
            return self._written_by_its_own_line(change, visible_only)
        tick, remark = self._writer(change, is_own)
        if before is None and not state.value:
            before, remark = self._of_another(change), "; its place is that of another object since" + remark
        sentence = self._sentence(state, change.tick, before) + remark
        return Write(self._seen_tick(tick) if visible_only else tick, sentence)

    def _look_up(self, visible_only: bool) -> Write | None:
        """What the index says, if it holds: the line made the value what it is now, and its object lived ever since."""
        index, state, now = self._index, self._state, self._motion.current.tick
        if index is None or self._subject[0] != "place" or state is None or state.items or not state.value:
            return None
        place = self._subject[1]
        if index.all_code and place[0] != "local":
            return None  # its observer moved objects: addresses are not those of other replays
        try:
            store = last_store(index, place, now)
            if store is None or not store.line_tick:
                return None
            if place[0] != "local" and freed_since(index, place[2], store.tick, now):
                return None
        except (NotIndexed, UnusableIndex):
            return None
        before = self._state_at(store.line_tick if place[0] == "local" else store.tick)
        after = self._state_at(store.tick + 1)
        if after is None or not after.is_the_same_as(state) or after.is_the_same_as(before):
            return None  # something else has written there since
        may_be_hidden = index.all_code or store.passed
        tick = self._seen_tick(store.line_tick) if visible_only and may_be_hidden else store.line_tick
        remark = "; not known is whether C or library code has stored the same value again since"
        if place[0] == "local":
            remark = ", passed by this call" if store.passed else ""
        return Write(tick, self._sentence(state, store.tick + 1, before) + remark)

    def _beginning(self) -> int | None:
        """The tick of the first line of the frame that a local variable belongs to: what was in that place before was
        another frame's. None: it is none, or may go on after a pause, as generators do."""
        if not self._is_local or self._pauses:
            return None
        _, _, depth, _, thread = self._subject[1][:5]
        search = Search(Want.SHALLOW | Want.FIRST, depth, thread)
        first = next(self._motion.backward(search, self._motion.current.tick + 1), None)
        return None if first is None else first.tick

    @property
    def _is_local(self) -> bool:
        return bool(self._subject[0] == "place" and self._subject[1][0] == "local")

    @property
    def _pauses(self) -> bool:
        """Whether it is a variable of a generator or coroutine, of which there may be several in the same place."""
        return self._is_local and bool(self._subject[2])

    @property
    def _waits(self) -> bool:
        """Whether that generator or coroutine is on no stack now."""
        return self._pauses and not self._subject[1][4]

    def _is_made_at(self, change: Match) -> bool:
        """Whether the generator or coroutine got its arguments there, and has not run before."""
        if not self._subject[3]:
            return False
        for tick in (change.tick, change.tick - 1):
            if self._runs_in(tick):
                return self._own_line(tick, change.tick) == 0
        if self._waits:
            return True  # it did not run there, so none of its lines did it
        began = self._own_line(self._motion.current.tick, self._motion.current.tick, beginning=True)
        return began >= change.tick - 1

    def _written_by_its_own_line(self, change: Match, visible_only: bool) -> Write:
        """That line may have begun long ago: other code runs while the generator or coroutine waits in it."""
        now = self._state_at(change.tick) or self._state
        assert now is not None
        for tick in (change.tick, change.tick - 1):
            line = self._own_line(tick, change.tick) if self._runs_in(tick) else 0
            if line:
                sentence = self._sentence(now, change.tick, self._state_at(line))
                return Write(self._seen_tick(line) if visible_only else line, sentence)
        text = f"{self._expression} becomes {now.text} where its function goes on after a pause"
        return Write(change.tick - 1, f"{text}; which of its lines did it is not known")

    def _runs_in(self, tick: int) -> bool:
        """Whether the variable's frame is on the stack of the thread that runs at a tick."""
        if not self._ran_at(tick):
            return False
        thread, _ = self._frame_at(tick)
        with self._standing(tick) as process:
            return process.last is not None and process.last.thread == thread

    def _frame_at(self, tick: int) -> tuple[int, int]:
        """(thread, depth) of the variable's frame; (0, 0): it is on no stack."""
        place = self._subject[1]
        if not self._waits:
            return place[4], place[2]
        with self._standing(tick) as process, Looker(process) as looker:
            thread, depth = looker.ask("on_stack", place)
            return thread, depth

    def _own_line(self, tick: int, before: int, beginning: bool = False) -> int:
        """The last line before tick `before` of the variable's frame, which is on the stack at `tick`, `before` or the
        one before it; 0: it began later. With `beginning` the line that was running when it began."""
        _, depth = self._frame_at(tick)
        with self._standing(tick) as process:
            words = process.stack()
        if tick < before and len(words) == depth:
            return tick
        return self._last_line(words[len(words) - depth :][:1], tick, beginning)

    def _ran_at(self, tick: int) -> bool:
        """Whether the very frame of the variable stood where it stands now: another one keeps its own elsewhere."""
        assert self._state is not None
        place = self._subject[1] if self._waits else self._subject[1][:5]
        with self._standing(tick) as process, Looker(process) as looker:
            return bool(looker.ask("slot", place) == self._state.slot)

    def _passed(self, began: int, visible_only: bool) -> Write:
        """The caller's line gave it: a frame has nothing else in its variables before its first line."""
        state = self._state_at(began)
        assert state is not None
        _, _, depth, _, thread = self._subject[1][:5]
        tick = self._under_way(depth - 1, began, thread)
        sentence = self._sentence(state, began, None)
        return Write(self._seen_tick(tick) if visible_only else tick, sentence + ", passed by this call")

    def _sentence(self, state: State, after: int, before: State | None) -> str:
        now = self._state_at(after) or state
        if not now.value:
            return f"{self._expression} loses its value here, it was {before.text if before else 'nothing'}"
        if before is None or not before.value:
            return f"{self._expression} becomes {now.text} here, it had no value before"
        if before.text == now.text and before.value == now.value:  # too long to be shown whole
            return f"the items of {self._expression} change here"
        if before.text == now.text:
            return f"{self._expression} becomes {now.text} here, it was another one that looks the same"
        return f"{self._expression} becomes {now.text} here, it was {before.text}"

    def _change_before(self, state: State, upto: int) -> Match:
        """The last line event up to `upto` before which the watched memory changed."""
        if state.watched.is_too_much():
            raise ReplayError(f"{self._expression} has too many items to watch them all; watch one of them")
        search = Search(Want.WATCH, watched=state.watched)
        change = next(self._motion.backward(search, upto + 1), None)
        if change is None:
            raise NeverWritten(f"no line of the recording changed {self._expression}")
        return change

    def _writer(self, change: Match, is_own: bool) -> tuple[int, str]:
        """(tick of the line that did it, a remark). It ran after the line event before, or went on after it."""
        passed = ", passed by this call" if is_own and self._pauses else ""
        if is_own and not passed:
            _, _, depth, _, thread = self._subject[1]  # only the frame's own code writes its locals
            return self._shallow(depth, change.tick, thread), ""
        lines = [each for each in self._lines_that_went_on(change.tick) if change.writer in (0, each.thread)]
        writers = [line for line in lines if line.may_write]
        if len(writers) == 1:
            return self._under_way(writers[0].depth, change.tick, writers[0].thread), passed
        own = [line for line in writers if self._is_line_of_the_variable(line)]
        if own and not passed:
            others = " or by ".join(line.place for line in writers if line is not own[0])
            return self._under_way(own[0].depth, change.tick, own[0].thread), f"; or by {others}"
        places = " or ".join(line.place for line in (writers or lines) if not line.began)
        return change.tick - 1, passed + (f"; or by {places}, when it went on" if places else "")

    def _is_line_of_the_variable(self, line: _Line) -> bool:
        """Whether it is one of the function itself whose variable holds what has changed."""
        return self._is_local and not self._pauses and [line.depth, line.thread] == list(self._subject[1][2:5:2])

    def _lines_that_went_on(self, tick: int) -> list[_Line]:
        """Those of all threads that ran on between the line event of `tick` and the one before: the line that began
        there, those to which functions returned, and those of threads that had waited in a call."""
        with self._standing(tick) as process, Looker(process) as looker:
            after = {(row[0], row[1]): tuple(row[2:]) for row in looker.ask("positions")}
        with self._standing(tick - 1) as process, Looker(process) as looker:
            running = (process.last.thread, process.last.depth) if process.last else (0, 0)
            moved = [row for row in looker.ask("positions") if after.get((row[0], row[1])) != tuple(row[2:])]
            return [
                _line(looker.ask("line_under_way", thread, depth), thread, depth, (thread, depth) == running)
                for thread, depth, _, _ in moved
            ]

    def _seen_tick(self, tick: int) -> int:
        """The line of the user's own code that was running when the line of `tick` ran."""
        with self._standing(tick) as process, Looker(process) as looker:
            visible = [row[4] for row in looker.ask("stack")]
            thread = process.last.thread if process.last else ANY_THREAD
        if True not in visible or visible[0]:
            return tick
        return self._under_way(len(visible) - visible.index(True), tick + 1, thread)

    def _under_way(self, depth: int, bound: int, thread: int) -> int:
        """The line that was under way just before `bound` in the frame at `depth` of a thread."""
        here = bound - 1
        with self._standing(here) as process:
            is_running = process.last is not None and process.last.thread == thread
        if not is_running:
            ran = next(self._motion.backward(Search(Want.LINE, thread=thread), bound), None)
            here = here if ran is None else ran.tick
        with self._standing(here) as process:
            words = process.stack()
        frame = words[len(words) - depth :][:1] if 0 < depth <= len(words) else ()
        if not frame or not frame[0] & Marks.GENERATOR:
            return self._shallow(depth, bound, thread)
        return here if depth == len(words) else self._last_line(frame, here) or here

    def _last_line(self, frame: tuple[int, ...], bound: int, beginning: bool = False) -> int:
        """The last line of a generator or coroutine before `bound`, where it is on the stack; 0: it began later. With
        `beginning` the line that was running when it began."""
        marks = Marks(frame, beginning=beginning).showing_all()
        found = next(self._motion.backward(Search(Want.MARKED, marks=marks), bound), None)
        return found.tick if found is not None and bool(found.detail >> 1) == beginning else 0

    def _shallow(self, depth: int, bound: int, thread: int) -> int:
        """The last line before `bound` of a thread that is at most so deep."""
        found = next(self._motion.backward(Search(Want.SHALLOW, depth, thread), bound), None)
        return bound - 1 if found is None else found.tick

    def _state_at(self, tick: int) -> State | None:
        with self._standing(tick) as process:
            found = state_in(process, self._subject)
        if found and self._state and self._pauses and found.watched.ranges[:1] != self._state.watched.ranges[:1]:
            return None  # of another generator of the same function
        return found

    def _before(self, change: Match) -> State | None:
        """What it was before a change."""
        found = self._state_at(change.tick - 1)
        if found and (change.value_is_reborn or change.owner_is_reborn):
            return found.reborn(change.owner_is_reborn)
        return found

    @contextmanager
    def _standing(self, tick: int) -> Iterator[ReplayProcess]:
        process = self._motion.stand(tick)
        try:
            yield process
        finally:
            self._motion.give_back(process)


def subject_of(process: ReplayProcess, expression: str, frame: int) -> Subject:
    """What `expression` means in a frame of the moment; LookFailed says why it cannot be watched."""
    with Looker(process) as looker:
        subject: Subject = looker.ask("subject", frame, expression)
        return subject


def state_in(process: ReplayProcess, subject: Subject) -> State | None:
    """None where the place does not exist or has no value; reading dead memory may even end the looker."""
    with Looker(process) as looker:
        try:
            value, items, text, ranges = looker.ask("subject_state", subject)
        except LookFailed:
            return None
    return State(value, items, text, Watched(tuple(map(tuple, ranges)), _places(subject, value, ranges)))


def _places(subject: Subject, value: int, ranges: list[Any]) -> tuple[tuple[int, bool], ...]:
    """Where objects may die: that which the place of a variable, attribute or item holds, and that which it is in."""
    if subject[0] != "place":
        return ()  # an expression's value is what it looks like
    kind, _, owner = subject[1][:3]
    return ((ranges[0][0], False),) * bool(value) + ((owner, True),) * (kind in ("attribute", "item"))


_HARMLESS = (
    "LOAD_", "RETURN_", "BUILD_", "COMPARE_", "IS_OP", "CONTAINS_", "POP_", "SWAP", "COPY", "NOP", "CACHE", "RESUME",
    "EXTENDED_ARG", "JUMP_", "FORMAT_", "PUSH_NULL", "STORE_FAST", "GET_ITER", "RERAISE", "YIELD_VALUE", "SEND",
)  # fmt: skip
"""Instructions, by the beginnings of their names, that by themselves write no attribute, item or cell. Where one runs
code of the program's, that code has line events of its own."""


@dataclass(frozen=True)
class _Line:
    """A line that was running for a while. `began`: from its beginning, else it went on after a call."""

    thread: int
    depth: int
    place: str
    may_write: bool
    began: bool


def _line(row: list[Any], thread: int, depth: int, began: bool) -> _Line:
    """Of what `line_under_way` tells. It may write to memory if any instruction that may have run does."""
    code, at, spans = bytes.fromhex(row[0]), row[1], row[2]
    offsets = [offset for start, end in spans for offset in range(start, end, 2) if began or offset > at]
    may_write = not all(dis.opname[code[offset]].startswith(_HARMLESS) for offset in offsets)
    return _Line(thread, depth, f"{row[3]}:{row[4]}", may_write, began)
