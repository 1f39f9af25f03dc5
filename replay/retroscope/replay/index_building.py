"""Builds the index of one recorded process: replays it, lets replay processes tell what they see, stores that.

On several processors a scout runs ahead without observing and leaves a fork at each border of two segments; observers
then work on segments at the same time. Frames that began before a segment are named by their addresses in it; the
end of the segment before says which they are. Every segment is stored in one commit when it is whole, so that the
index can be used, and building can be ended and taken up again, at any time.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

from retroscope.recorder import _core
from retroscope.replay.divergence import diverged
from retroscope.replay.launch import launcher_of
from retroscope.replay.moments import ReplayError
from retroscope.replay.observing import Observer, wait_for
from retroscope.replay.process import ReplayProcess
from retroscope.replay.protocol import TO_THE_END, Reason, Stopped, Want
from retroscope.replay.recording import Recording
from retroscope.trace.index_reader import UnusableIndex, open_index
from retroscope.trace.index_writer import IndexWriter, NewBlock, StorageFull

SEGMENT = (1 << 21) + (1 << 14)
"""Ticks of a segment: well under a second of an observer's time, and a last block that is not full: it has to say which
frames live on."""
_WAIT = 0.25


@dataclass(frozen=True)
class Progress:
    """Ticks that are indexed, the last tick if it is known, inputs passed and in all; seconds left, None: not known."""

    ticks: int
    last: int | None
    inputs: int
    all_inputs: int
    seconds_left: float | None


@dataclass(frozen=True)
class Built:
    """What an index holds now. `stopped` says why it is not complete; `again`: nothing had to be done."""

    process: int
    ticks: int
    complete: bool
    bytes: int
    seconds: float
    stopped: str | None = None
    again: bool = False


def core_fingerprint() -> str:
    """Of the code that replays: another one may put objects at other addresses."""
    with open(_core.__file__, "rb") as file:
        return blake2b(file.read(), digest_size=16).hexdigest()


@dataclass
class _Segment:
    """Ticks `first` to `last`, or to the end. `ready` stands just before `first` until an observer is made of it."""

    first: int
    last: int | None
    ready: ReplayProcess | None = None


class IndexBuilder:
    """One index in the making. `on_progress` is called some times a second."""

    def __init__(
        self,
        recording: Recording,
        all_code: bool = False,
        workers: int | None = None,
        segment: int = SEGMENT,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self._recording = recording
        self._number = recording.process.id
        self._all_code = all_code
        self._workers = len(os.sched_getaffinity(0)) if workers is None else workers
        self._segment = segment
        self._on_progress = on_progress
        self._began = time.monotonic()
        self._facts: dict[str, object] = {}
        self._gaps: list[_Segment] = []
        self._ready: list[_Segment] = []
        self._running: dict[Observer, _Segment] = {}
        self._scout: ReplayProcess | None = None
        self._scout_inputs = 0
        self._scout_arrived = False
        self._end: Stopped | None = None
        self._indexed = self._indexed_before = 0

    def build(self, rebuild: bool = False) -> Built:
        """Makes the index complete. Raises Diverged, ReplayError and TraceError; what is whole by then stays."""
        writer = IndexWriter(self._recording.path)
        try:
            if self._take_up(writer, rebuild):
                return self._outcome(again=True)
            if self._gaps:
                self._fill_gaps(writer)
            self._complete(writer)
        except StorageFull as full:
            return self._outcome(stopped=str(full))
        finally:
            writer.close()
        return self._outcome()

    def _outcome(self, stopped: str | None = None, again: bool = False) -> Built:
        index = open_index(self._recording.path, self._number)
        seconds = time.monotonic() - self._began
        if index is None:
            return Built(self._number, 0, False, 0, seconds, stopped, again)
        try:
            return Built(self._number, index.ticks, index.complete, index.size, seconds, stopped, again)
        finally:
            index.close()

    def _take_up(self, writer: IndexWriter, rebuild: bool) -> bool:
        """Finds out what is missing; whether nothing is. An index that cannot be gone on with is taken out."""
        wanted = {
            "what": "all" if self._all_code else "visible",
            "core": core_fingerprint(),
            "stream": self._recording.process.length,
        }
        try:
            index = None if rebuild else open_index(self._recording.path, self._number)
        except UnusableIndex:
            index = None
        usable = index is not None and (index.complete or not self._all_code)
        if index is None or not usable or {name: index.facts.get(name) for name in wanted} != wanted:
            writer.forget(self._number)
            self._facts = {**wanted, "complete": False, "end": None, "ticks": 0}
            self._gaps = [_Segment(1, None)]
            return False
        self._facts = dict(index.facts)
        end = index.facts.get("end")
        covered = [(entry.first, entry.last) for entry in index.entries]
        self._gaps = _gaps(covered, end if isinstance(end, int) else None)
        self._indexed = self._indexed_before = index.ticks
        index.close()
        return index.complete

    # --- the work

    def _fill_gaps(self, writer: IndexWriter) -> None:
        launch, end_launching = launcher_of(self._recording)
        try:
            self._scout = launch()
            if self._workers > 1 and not self._all_code:
                self._run(writer)
            else:
                self._run_alone(writer, self._scout)
        finally:
            self._end_processes()
            end_launching()

    def _run(self, writer: IndexWriter) -> None:
        scouting = False
        while self._gaps or self._ready or self._running or scouting:
            while self._ready and len(self._running) < self._workers:
                self._observe(self._ready.pop(0))
            if not scouting and self._gaps and len(self._ready) < self._workers:
                scouting = self._send_scout()
            self._wait(writer, scouting)
            scouting = scouting and not self._scout_arrived
            self._tell()

    def _complete(self, writer: IndexWriter) -> None:
        if self._facts["end"] is None:
            raise ReplayError("the replay did not come to an end")
        self._facts |= {"complete": True}
        writer.add(self._number, [], self._facts)

    def _run_alone(self, writer: IndexWriter, scout: ReplayProcess) -> None:
        """One processor: an observer a gap, which stops now and then so that what it saw can be stored."""
        for gap in self._gaps:
            if scout.tick < gap.first - 1:
                self._note(scout.run(gap.first - 1))
            observer = Observer(scout.fork(), self._all_code)
            self._running[observer] = gap
            while not observer.process.over and (gap.last is None or observer.process.tick < gap.last):
                first = observer.process.tick + 1
                until = first + self._segment - 1
                observer.begin(until if gap.last is None else min(until, gap.last))
                while observer.process.fileno() not in set(wait_for(observer.descriptors(), _WAIT)):
                    observer.read()
                stopped = observer.finish()
                self._scout_inputs = stopped.input
                self._keep(observer, first, stopped, writer)
                self._tell()
            del self._running[observer]
            observer.close()

    def _send_scout(self) -> bool:
        """Leaves a fork where the first gap begins if the scout is there; else lets it run there. Whether it runs."""
        scout, gap = self._scout, self._gaps[0]
        assert scout is not None
        if scout.over:
            self._gaps = []
            return False
        if scout.tick < gap.first - 1:
            return self._run_scout(gap.first - 1)
        last = gap.first + self._segment - 1
        whole = gap.last is not None and gap.last <= last
        self._ready.append(_Segment(gap.first, gap.last if whole else last, scout.fork()))
        if whole:
            self._gaps.pop(0)
            return False
        self._gaps[0] = _Segment(last + 1, gap.last)
        return self._run_scout(last)

    def _run_scout(self, until: int) -> bool:
        assert self._scout is not None
        self._scout_arrived = False
        self._scout.begin_run(until, Want.NOTHING)
        return True

    def _observe(self, segment: _Segment) -> None:
        assert segment.ready is not None
        observer = Observer(segment.ready, self._all_code)
        segment.ready = None
        self._running[observer] = segment
        observer.begin(TO_THE_END if segment.last is None else segment.last)

    def _wait(self, writer: IndexWriter, scouting: bool) -> None:
        waiting: dict[int, Observer | None] = {}
        stops: dict[int, Observer] = {}
        for observer in self._running:
            stop, more = observer.descriptors()
            waiting[more] = stops[stop] = observer
        if scouting and self._scout is not None:
            waiting[self._scout.fileno()] = None
        for descriptor in wait_for([*waiting, *stops], _WAIT):
            if descriptor in stops:
                self._store(stops[descriptor], writer)
            elif (observer_or_scout := waiting[descriptor]) is None:
                self._scout_stopped()
            elif observer_or_scout in self._running:
                observer_or_scout.read()

    def _scout_stopped(self) -> None:
        assert self._scout is not None
        self._scout_arrived = True
        stopped = self._scout.finish_run()
        self._scout_inputs = stopped.input
        self._note(stopped)
        if stopped.reason is Reason.END:
            self._gaps = []

    def _note(self, stopped: Stopped) -> None:
        if stopped.reason in (Reason.DIVERGED, Reason.SEALED):
            raise diverged(self._recording, stopped.text, stopped.input)
        if stopped.reason is Reason.END:
            if self._end is not None and self._end.tick != stopped.tick and not _is_cut_off(stopped):
                raise ReplayError(f"two replays ended at different ticks, {self._end.tick} and {stopped.tick}")
            self._end = stopped

    def _store(self, observer: Observer, writer: IndexWriter) -> None:
        """A segment is whole: it is one commit."""
        segment = self._running.pop(observer)
        try:
            stopped = observer.finish()
        finally:
            observer.close()
        self._keep(observer, segment.first, stopped, writer)

    def _keep(self, observer: Observer, first: int, stopped: Stopped, writer: IndexWriter) -> None:
        self._note(stopped)
        if stopped.reason is Reason.END:
            self._facts["end"] = stopped.tick
        blocks = [_new_block(data, observer.segment) for data in observer.blocks]
        _check_blocks(blocks, first, stopped.tick)
        self._indexed += stopped.tick - first + 1
        self._facts["ticks"] = self._indexed
        writer.add(self._number, blocks, self._facts)

    def _tell(self) -> None:
        done, passed = self._indexed - self._indexed_before, time.monotonic() - self._began
        last = self._end.tick if self._end else self._facts.get("end")
        known = last if isinstance(last, int) else None
        left = None
        if done:
            expected = known if known is not None else self._expected()
            left = None if expected is None else max(expected - self._indexed, 0) * passed / done
        self._on_progress(Progress(self._indexed, known, self._scout_inputs, self._recording.inputs, left))

    def _expected(self) -> int | None:
        """How many ticks there may be, going by the inputs that the scout has passed."""
        scout = self._scout
        if scout is None or not self._scout_inputs or self._scout_inputs < self._recording.inputs // 20:
            return None
        return scout.tick * self._recording.inputs // self._scout_inputs

    def _end_processes(self) -> None:
        for observer in self._running:
            observer.close()
        for segment in self._ready:
            if segment.ready is not None:
                segment.ready.kill()
        if self._scout is not None:
            self._scout.kill()


def _is_cut_off(end: Stopped) -> bool:
    """Whether nothing tells where the recorded program got to: how far a replay goes on then hangs on its speed."""
    ending = json.loads(end.text) if end.text else {}
    return isinstance(ending, dict) and bool(ending.get("cut_off"))


def _new_block(data: bytes, segment: int) -> NewBlock:
    first, ticks, _ = _core.block_head(data)
    return NewBlock(first, ticks, segment, data, _core.block_keys(data))


def _check_blocks(blocks: list[NewBlock], first: int, last: int) -> None:
    """They must cover the ticks without a gap."""
    for block in blocks:
        if block.first != first:
            raise ReplayError(f"observations of tick {first} are missing")
        first += block.ticks
    if first != last + 1:
        raise ReplayError(f"observations end at tick {first - 1}, not at {last}")


def _gaps(covered: list[tuple[int, int]], end: int | None) -> list[_Segment]:
    """What lies between the covered stretches, and after them."""
    found, next_tick = [], 1
    for first, last in covered:
        if first > next_tick:
            found.append(_Segment(next_tick, first - 1))
        next_tick = last + 1
    if end is None or next_tick <= end:
        found.append(_Segment(next_tick, end))
    return found
