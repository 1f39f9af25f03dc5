"""Motions out of generators that nobody resumes again: where they yielded for the last time was as good as their end.

A motion that stays in marked frames waits for a suspended generator to go on. One that is given up dies in the end,
perhaps much later, and then the motion would stop only there.
"""

from __future__ import annotations

from dataclasses import replace

from retroscope.replay.legs import Search
from retroscope.replay.looking import LookFailed, asked
from retroscope.replay.motion import Motion
from retroscope.replay.protocol import Marks, Match, Reason, Stopped, Want

_FAR = 1 << 20
"""Ticks behind a breakpoint in which a generator that has yielded is sought: has it been given up?"""


class GivenUp:
    """Looks at the past of `motion`, with processes of its own."""

    def __init__(self, motion: Motion) -> None:
        self._motion = motion

    def sooner(self, tick: int, search: Search, stopped: Stopped) -> tuple[int, Search] | None:
        """(where from, what to look for) if generators inside of the frame in which a motion from `tick` has stopped
        died after they had waited: where they yielded for the last time was as good as their end."""
        if search.marks is None or not search.marks.has_generators:
            return None
        marked = Search(Want.MARKED, thread=search.thread, marks=search.marks)
        over = self._all_over(tick, marked, stopped)
        if over is None:
            return None
        until, at = over
        inner = [word for word in search.marks.words[:at] if word & Marks.GENERATOR]
        lasts = [self._last_line(word, tick, until) for word in inner]
        best, best_tick = None, stopped.tick
        for some in range(1, len(inner) + 1):  # what is further out needs more of them to be over
            last = max(lasts[:some])
            if last < best_tick:
                found = self._given_up(tick, marked, inner[:some], last, best_tick)
                if found is not None:
                    best, best_tick = (last, replace(search, marks=found[1])), found[0]
        return best

    def _given_up(
        self, tick: int, marked: Search, inner: list[int], last: int, before: int
    ) -> tuple[int, Marks] | None:  # fmt: skip
        """(where a motion from `tick` stops if these generators count as over after tick `last`, the marks from there
        on); None if that is not before tick `before`, or if they may go on without a line of their own."""
        assert marked.marks is not None
        process = self._motion.stand(tick)
        try:
            frames = zip(asked(process, "keepers"), marked.marks.words, strict=False)
            keepers = [keeper for keeper, word in frames if word in inner]
            if self._motion.sweep(process, (), marked, last) is None:
                return None
            marks = replace(marked.marks, words=process.left()).without_generators(inner)
            found = self._motion.sweep(process, (), replace(marked, marks=marks), before)
            if found is None or found.tick >= before or asked(process, "gives_way", keepers):
                return None
            return found.tick, marks
        except LookFailed:
            return None  # one of them is dead: it ended
        finally:
            process.kill()

    def _all_over(self, tick: int, marked: Search, stopped: Stopped) -> tuple[int, int] | None:
        """(tick, index of the frame) where a motion from `tick` stops if nothing else stops it; None: it is far."""
        assert marked.marks is not None
        if stopped.matches[-1].kind == Want.MARKED:
            return stopped.tick, marked.marks.index_of(self._motion.current.stack()[0])
        process = self._motion.stand(tick)
        try:
            found = self._motion.sweep(process, (), marked, stopped.tick + _FAR)
            if found is None or found.reason is not Reason.MATCH:
                return None
            return found.tick, marked.marks.index_of(process.stack()[0])
        finally:
            process.kill()

    def _last_line(self, word: int, tick: int, until: int) -> int:
        """The last line before `until` of a generator that is on the stack at `tick`."""
        last = until - 1
        while last > tick:
            began = self._became(Marks((word,), beginning=True), tick, last)
            if began is None or not began.detail >> 1:
                line = self._became(Marks((word,)), tick, last)
                return tick if line is None else max(line.tick, tick)
            last = min(began.tick, last - 1)  # another frame began at the place of this one, which was dead
        return tick

    def _became(self, marks: Marks, tick: int, last: int) -> Match | None:
        """What became of marked frames from `tick` to the line at tick `last`."""
        process = self._motion.stand(tick)
        try:
            return self._motion.last_line_of(process, replace(marks, before=last + 1).showing_all(), last)
        finally:
            process.kill()
