"""Where a motion stops: what of the places that it finds is worth it, and what is said there.

`Stops` moves the processes of a `Motion` and answers with moments. It looks into processes only for the conditions of
breakpoints and for the text of exceptions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from retroscope.replay.breakpoints import BreakpointTable
from retroscope.replay.given_up import GivenUp
from retroscope.replay.hit_numbers import HitNumbers
from retroscope.replay.index import Index, NotIndexed, UnusableIndex
from retroscope.replay.indexed import can_answer, first_hit_after, hits_before
from retroscope.replay.legs import BeyondTheEnd, Search
from retroscope.replay.looking import Looker, LookFailed, asked
from retroscope.replay.messages import parse_message
from retroscope.replay.moments import Breakpoint, InputId, Moment, ReplayError, StopReason, ThreadId, Tick
from retroscope.replay.motion import Motion
from retroscope.replay.process import ReplayProcess
from retroscope.replay.protocol import TO_THE_END, Match, Reason, Want
from retroscope.replay.recording import Recording
from retroscope.replay.watches import Watches

_NEVER_CAUGHT = "raised here and never caught"


@dataclass(frozen=True)
class _Raising:
    """Where an exception is raised: the thread, the line and function, and the functions that it has come through."""

    thread: int
    line: str
    function: tuple[str, str]
    passed: list[tuple[str, str]]

    def seen_from(self, process: ReplayProcess) -> str:
        """The same in words, for one who looks from where the tick begins, at which `process` stands.

        What the line calls may have been the last to begin a line, in this thread or in one that waited for its turn.
        """
        assert process.last is not None, "it has said where it stands"
        frames = asked(process, "stack")
        if not frames:
            return "here"
        _, name, path, _, _ = frames[0]
        elsewhere = self.thread != process.last.thread
        if not elsewhere and (name, path) in (self.function, *self.passed):
            return "here"
        thread = f" of thread {self.thread}" if elsewhere else ""
        return f"after this line, at {self.line} in {self.function[0]}{thread},"


def _raising(process: ReplayProcess) -> _Raising | None:
    """Where it is that `process` stands at a raise; None: that cannot be told."""
    with Looker(process) as looker:
        frames, passed = looker.ask("stack"), looker.ask("raised_through")
    if not frames or passed is None or process.last is None:
        return None
    _, name, path, line, _ = frames[0]
    return _Raising(process.last.thread, f"{Path(path).name}:{line}", (name, path), [tuple(each) for each in passed])


class Stops:
    """Motions with their ends. The caller takes care of interrupts and divergences, which are raised."""

    def __init__(
        self,
        motion: Motion,
        table: BreakpointTable,
        watches: Watches,
        recording: Recording,
        index: Index | None = None,
    ) -> None:
        self._motion = motion
        self._given_up = GivenUp(motion)
        self._table = table
        self._watches = watches
        self._recording = recording
        self.entry = Tick(1)
        """The first line of the program's own code."""
        self.on_message: Callable[[Breakpoint, Tick, str], None] = lambda *_: None
        """What breakpoints with a message say where they are hit."""
        self._numbers = HitNumbers(motion, lambda: BreakpointTable(recording.source_paths(), recording.source))
        self.index = index
        self.only_library = False
        """Whether the program has no code of its own, as with -m of a module of the library."""

    def enter(self) -> Moment:
        """The first line of the program's own code; in a forked process the first after the fork."""
        moment = self._enter()
        first = self._recording.first_input
        if first == 0 or self._motion.current.over:
            return moment
        self._motion.to(max(self._motion.last_tick_where(lambda stopped: stopped.input <= first), 1))
        visible = Want.NOTHING if self.only_library else Want.VISIBLE
        stopped = self._motion.forward(Search(Want.LINE | visible))
        if stopped.reason is Reason.END:
            return self.ended()
        return self.moment(StopReason.ENTRY, f"process {self._recording.process.id} was forked just before")

    def _enter(self) -> Moment:
        stopped = self._motion.forward(Search(Want.LINE | Want.VISIBLE))
        if stopped.reason is not Reason.END:
            self.entry = Tick(stopped.tick)
            return self.moment(StopReason.ENTRY)
        self.only_library = stopped.tick > 0
        if not self.only_library:
            return self.ended()
        return self.go(Tick(1), StopReason.ENTRY, "no line of the program is outside the library, so all are shown")

    def go(self, tick: Tick, reason: StopReason = StopReason.GOTO, text: str = "") -> Moment:
        try:
            self._motion.to(tick)
        except BeyondTheEnd as error:
            raise ReplayError(f"there is no tick {tick}: {error}") from error
        return self.moment(reason, text)

    def tick_of_input(self, number: int) -> Tick:
        """The last tick before whose line fewer than `number` + 1 inputs were used."""
        return Tick(max(self._motion.last_tick_where(lambda stopped: stopped.input <= number), 1))

    def tick_after_input(self, number: int) -> Tick:
        """The first tick at which this input has been used, or the last there is."""
        tick = self.tick_of_input(number) + 1
        return Tick(tick if self._motion.end is None else min(tick, self._motion.end.tick))

    def go_to_failure(self) -> Moment:
        self._motion.learn_end()
        ending = self._ending()
        if ending.get("uncaught") is None:
            raise ReplayError("the program did not end with an uncaught exception")
        tick = ending.get("raise_tick")
        if not isinstance(tick, int) and self.only_library:
            raise ReplayError(f"{ending['uncaught']} ended the program before a line of its own code ran")
        if not isinstance(tick, int):
            raise ReplayError(f"where {ending['uncaught']} was raised is not known")
        return self._raised_at(Tick(tick), _NEVER_CAUGHT)

    def forward(self, now: Moment, search: Search, plain: StopReason, uncaught: bool) -> Moment:
        """On from `now` to the first place of `search`, and `uncaught` exceptions as well, or to the end."""
        if self._motion.current.over:
            return replace(now, text="the program is over: only reverse motion leads on")
        seen = now.reason is StopReason.EXCEPTION
        failure = self._failure_ahead(now.tick + seen) if uncaught else None
        raise_here = not seen
        if not search.want & ~Want.VISIBLE:  # nothing to look for on the way: the nearest snapshot is good enough
            return self._raised_at(Tick(failure), _NEVER_CAUGHT) if failure is not None else self.go_to_the_end()
        indexed = self._indexed_ahead(search, self._motion.current.tick)
        if indexed is not None and (moment := self._go_ahead(indexed, failure, plain)) is not None:
            return moment
        if search.want & Want.WATCH:
            self._watches.begin()
        while True:
            if search.want & Want.WATCH:
                search = replace(search, watched=self._watches.watched())
            stopped = self._motion.forward(search, TO_THE_END if failure is None else failure, raise_here)
            raise_here = True
            if stopped.reason is Reason.END:
                if search.marks is None or not search.marks.has_generators:
                    return self.ended()
                search = self._again(now.tick, replace(search, marks=search.marks.without_generators()))
                raise_here = not seen  # the generator was never resumed
                continue
            if stopped.reason is Reason.LIMIT:
                return self._raised_at(Tick(stopped.tick), _NEVER_CAUGHT)
            sooner = self._given_up.sooner(now.tick, search, stopped)
            if sooner is not None:
                search = self._again(*sooner)
                raise_here = not seen
                continue
            moment = self._accept(list(stopped.matches), plain)
            if moment is not None:
                return moment

    def _again(self, tick: int, search: Search) -> Search:
        """Goes back on the way of a motion forwards, for another search from there."""
        self._motion.to(tick)
        if search.want & Want.WATCH:
            self._watches.begin()
        return search

    def go_to_the_end(self) -> Moment:
        self._motion.to_the_end()
        return self.ended()

    def backward(self, search: Search, plain: StopReason, uncaught: bool) -> Moment:
        """Back to the last place of `search` before the current one, or to the beginning."""
        bound = self._motion.bound
        failure = self._failure_tick() if uncaught else None
        if failure is not None and failure >= bound:
            failure = None
        written = self._watches.last(bool(search.want & Want.VISIBLE)) if search.want & Want.WATCH else None
        remark = self._watches.unseen() if search.want & Want.WATCH else ""
        search = replace(search, want=search.want & ~Want.WATCH)
        floor = max(failure or 0, written[1].tick if written else 0)
        for matches in self._found_before(search, bound):
            tick = matches[0].tick
            if tick <= floor:
                break
            moment = self._accept_past(Tick(tick), matches, plain)
            if moment is not None:
                return replace(moment, text=(moment.text + remark).removeprefix("; "))
        if written is not None and written[1].tick == floor:
            moment = self.go(Tick(floor), StopReason.BREAKPOINT, written[1].text + remark)
            return replace(moment, breakpoints=(written[0],))
        if failure is not None:
            return self._raised_at(Tick(failure), _NEVER_CAUGHT)
        return self._begin(bound, bool(search.want & Want.VISIBLE), remark)

    def _begin(self, bound: int, visible_only: bool, remark: str) -> Moment:
        """Nothing is before tick `bound`: the beginning of the program's own code, unless one was before that."""
        if bound > self.entry:
            return self.go(self.entry, StopReason.BEGINNING, "the recording begins here" + remark)
        if bound == self.entry and visible_only and bound > 1:
            text = "the program begins here; only Python's own start-up is before, where `goto 1` leads"
            return self.go(self.entry, StopReason.BEGINNING, text + remark)
        return self.go(Tick(1), StopReason.BEGINNING, "the recording begins here" + remark)

    def _found_before(self, search: Search, bound: int) -> Iterator[list[Match]]:
        """The matches before `bound` by tick, last first: from the index as far as it goes, then by running."""
        if self.index is not None and can_answer(search):
            try:
                for matches in hits_before(self.index, self._table.entries, bound):
                    bound = matches[0].tick
                    yield matches
            except (NotIndexed, UnusableIndex):
                pass  # what is not in it is sought in the recording itself
            else:
                return
        yield from self._motion.backward_by_tick(search, bound)

    def _indexed_ahead(self, search: Search, tick: int) -> list[Match] | None:
        """The first matches after `tick`; None when only running can tell."""
        if self.index is None or not can_answer(search):
            return None
        try:
            return first_hit_after(self.index, self._table.entries, tick)
        except (NotIndexed, UnusableIndex):
            return None

    def _go_ahead(self, matches: list[Match], failure: int | None, plain: StopReason) -> Moment | None:
        """To what the index found ahead, or to the uncaught exception if that comes first, or to the end."""
        if failure is not None and (not matches or matches[0].tick > failure):
            return self._raised_at(Tick(failure), _NEVER_CAUGHT)
        if not matches:
            return self.go_to_the_end()
        self._motion.to(matches[0].tick)
        return self._accept(matches, plain)

    def _accept(self, matches: list[Match], plain: StopReason) -> Moment | None:
        """The moment that the current process stands at, if its matches are worth a stop."""
        if any(match.kind == Want.RAISE for match in matches):
            return self._raised_at(Tick(matches[-1].tick), "raised here", sought=True)
        hits, complaint = self._hits(matches, self._motion.current)
        hits = self._say(hits)
        for match in [match for match in matches if match.kind == Want.WATCH]:
            changes = self._watches.changes(match)
            hits += tuple(number for number, _ in changes)
            complaint = "; ".join([*filter(None, [complaint]), *(text for _, text in changes)])
        if hits:
            return replace(self.moment(StopReason.BREAKPOINT, complaint), breakpoints=hits)
        lines = any(match.kind in (Want.LINE, Want.MARKED) for match in matches)
        return self.moment(plain) if lines else None

    def _accept_past(self, tick: Tick, matches: list[Match], plain: StopReason) -> Moment | None:
        """The same for a tick in the past; the current process goes there only if it is accepted."""
        if all(match.kind == Want.BREAKPOINT for match in matches) and not self._may_hit(matches, tick):
            return None
        self._motion.to(tick)
        return self._accept(matches, plain)

    def _may_hit(self, matches: list[Match], tick: Tick) -> bool:
        """Whether a condition holds at `tick`, tried on a process of its own."""
        if any(each.condition is None for match in matches for each in self._table.of_row(match.detail)):
            return True
        process = self._motion.stand(tick)
        try:
            return bool(self._hits(matches, process)[0])
        finally:
            self._motion.give_back(process)

    def _hits(self, matches: list[Match], process: ReplayProcess) -> tuple[tuple[int, ...], str]:
        """(numbers of the breakpoints that hold here, what to say about a condition that failed)."""
        found = [match.detail for match in matches if match.kind == Want.BREAKPOINT]
        hits, complaint = [], ""
        for each in [each for row in found for each in self._table.of_row(row)]:
            holds, error = _condition_holds(process, each.condition)
            if error:
                complaint = f"the condition of breakpoint {each.id} failed: {error}"
            if error or (holds and self._numbers.is_meant(each, Tick(process.tick))):
                hits.append(each.id)
        return tuple(hits), complaint

    def _say(self, hits: tuple[int, ...]) -> tuple[int, ...]:
        """Says the messages of those that only have that to do here, at the current moment; the others."""
        found = [self._table.of_id(number) for number in hits]
        for each in found:
            if each is not None and each.message is not None:
                self.on_message(each, Tick(self._motion.current.tick), self._message(each.message))
        return tuple(each.id for each in found if each is not None and each.message is None)

    def _message(self, text: str) -> str:
        try:
            return str(asked(self._motion.current, "message", 0, parse_message(text)))
        except LookFailed as failed:
            return f"{text}: {failed}"

    def _raised_at(self, tick: Tick, text: str, sought: bool = False) -> Moment:
        uncaught = str(self._ending().get("uncaught") or "") if text == _NEVER_CAUGHT else ""
        exception, raising = self._at_raise(tick, sought, uncaught)
        moment = self.go(tick, StopReason.EXCEPTION, text)
        if raising is not None:
            place = raising.seen_from(self._motion.current)
            moment = replace(moment, text=text.replace("here", place, 1).rstrip(","))
        return replace(moment, exception=exception)

    def _at_raise(self, tick: Tick, sought: bool, uncaught: str) -> tuple[str | None, _Raising | None]:
        """What the inspector says of the exception that the line of `tick` raises, and where that is; None: unknown."""
        process = self._motion.inside_raise(tick, sought, uncaught)
        if process is None:
            return None, None
        try:
            said = asked(process, "raising")
            return None if said is None else str(said), _raising(process)
        except LookFailed:
            return None, None
        finally:
            process.kill()

    def raised_at(self, tick: Tick) -> Moment:
        """Before the line of `tick`, which raises an exception that is sought."""
        return self._raised_at(tick, "raised here", sought=True)

    def uncaught_is(self, types: Sequence[str]) -> bool:
        """Whether the exception that ended the program is of one of these types, by their names."""
        tick = self._failure_tick()
        if tick is None or not types:
            return tick is not None
        uncaught = str(self._ending().get("uncaught") or "")
        process = self._motion.inside_raise(tick, uncaught=uncaught)
        if process is None:
            return False
        try:
            names = str(asked(process, "raising_types") or "").split()
        except LookFailed:
            return False
        finally:
            process.kill()
        return any(each in names for each in types)

    def _failure_ahead(self, first: int) -> int | None:
        """The tick of the uncaught exception, if it is `first` or later."""
        tick = self._failure_tick()
        return tick if tick is not None and tick >= first else None

    def _failure_tick(self) -> int | None:
        """Where the exception was raised that ended the program; runs to the end if nobody was there yet."""
        self._motion.learn_end()
        tick = self._ending().get("raise_tick")
        return tick if isinstance(tick, int) else None

    def ended(self) -> Moment:
        """The moment of the end, at which the current process is."""
        ending = self._ending()
        status = self._recording.exit_status
        text = "the program is over" + (f", exit status {status}" if status is not None else "")
        if self._recording.cut_off:
            text = f"the recording ends here: {self._recording.cut_off}"
            if ending.get("cut_off"):
                text += ", somewhere after its last input; what is shown from there on may not have run"
        elif ending.get("uncaught"):
            text += f", after an uncaught {ending['uncaught']}"
        return self.moment(StopReason.END, text)

    def _ending(self) -> dict[str, object]:
        end = self._motion.end
        ending = json.loads(end.text) if end and end.text else {}
        return ending if isinstance(ending, dict) else {}

    def moment(self, reason: StopReason, text: str = "") -> Moment:
        last = self._motion.current.last
        assert last is not None, "a process that was launched has said where it stands"
        return Moment(Tick(last.tick), InputId(last.input), ThreadId(last.thread), reason, text)


def _condition_holds(process: ReplayProcess, condition: str | None) -> tuple[bool, str | None]:
    if condition is None:
        return True, None
    try:
        holds, error = asked(process, "truth", 0, condition)
    except LookFailed as failed:
        return False, str(failed)
    return bool(holds), error
