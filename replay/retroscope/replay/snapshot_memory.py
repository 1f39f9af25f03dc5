"""What snapshots take of the machine's memory, known without asking the system often: for large ones it takes long.

Linux only: memory is read from /proc.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from retroscope.replay.process import ReplayProcess
from retroscope.replay.spare_memory import spare_memory

MEASURE_EVERY = 2.0
"""Seconds between two measurements, if they are quick; one costs up to a millisecond a process, or more."""
MEASURE_PAUSE = 4
"""Where all are within the budget, the next measurement waits so many times as long as this one took."""
_QUICK = 1 << 29
"""Bytes that all of them see, shared ones each time, of which it is known at once what they take."""
_ASK_EVERY = 0.5
"""Seconds for which it is believed how much memory there is to spare."""
_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def default_budget() -> int:
    """A quarter of the machine's memory, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4


def _fault_is_a_page() -> bool:
    """Whether a fault makes one page at most, and not a huge one."""
    try:
        return "[always]" not in _HUGE_PAGES.read_text()
    except OSError:  # a kernel without huge pages
        return True


class SnapshotMemory:
    """Bytes that snapshots cannot exceed together, beside what may be taken; `close` ends its thread."""

    def __init__(self, budget: int | None, first: ReplayProcess) -> None:
        self.given = budget
        self._page = os.sysconf("SC_PAGE_SIZE") if _fault_is_a_page() else 0
        self._next = time.monotonic() + MEASURE_EVERY
        self._thread: ThreadPoolExecutor | None = None
        self._under_way: Future[dict[int, int]] | None = None
        self._began = 0.0
        self._before = first.resident()
        self._since = 0
        self._asked = float("-inf")
        self._budget = 0
        self._has_excess = False

    @property
    def budget(self) -> int:
        """Bytes. What nobody has given is a quarter of all, but at most half of what they take and what is to spare:
        other programs have the rest, and other timelines their share of it."""
        if self.given is not None:
            return self.given
        if time.monotonic() - self._asked > _ASK_EVERY:
            self._asked, spare = time.monotonic(), spare_memory()
            self._budget = min(default_budget(), (self.most + spare) // 2) if spare else default_budget()
        return self._budget

    @property
    def room(self) -> int:
        """What they may take: less than the budget, for more comes while it is measured; and still less while some have
        to go, so that it lasts for a while."""
        budget = self.budget
        return budget - budget // 8 * (2 if self._has_excess else 1)

    @property
    def most(self) -> int:
        """What was measured when the last measurement began, and all that was made since."""
        return self._before + self._since

    def add(self, size: int, pages: int) -> int:
        """There is one more, that sees so many bytes, of which those pages were made since the one before.

        Returns how many bytes that may be.
        """
        made = min(size, pages * self._page) if self._page else size
        self._since += made
        return made

    def excess(self, processes: Sequence[ReplayProcess], size: int) -> dict[int, int]:
        """What each takes, by its tick, if together that is too much; empty where it is not, or not known yet.

        `size`: what one of them sees, about. Where that is much it is measured while the replay goes on; it is only
        waited for when the budget may be exceeded.
        """
        if self._under_way is None:
            is_due = self._is_urgent or time.monotonic() >= self._next
            if not is_due or (self.most <= self.room and not self._has_excess):
                return {}
            self._begin(processes)
        assert self._under_way is not None
        if not (len(processes) * size <= _QUICK or self._is_urgent or self._under_way.done()):
            return {}
        sizes = self._under_way.result()
        self._under_way = None
        self._before = sum(sizes.values())
        if self.most > self.room:
            self._has_excess, self._next = True, 0.0
            return sizes
        took, was_too_much = time.monotonic() - self._began, self._has_excess
        self._next = time.monotonic() + max(MEASURE_EVERY, 0.0 if was_too_much else MEASURE_PAUSE * took)
        self._has_excess = False
        return {}

    def gone(self, size: int) -> None:
        """One that took so much was ended. What it shared with others counts for them now: so all is measured again."""
        self._before -= size

    def close(self) -> None:
        if self._thread is not None:
            self._thread.shutdown(wait=False)

    @property
    def _is_urgent(self) -> bool:
        return self.most > self.budget

    def _begin(self, processes: Sequence[ReplayProcess]) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "retroscope-memory")
        self._before, self._since = self.most, 0
        self._began, of = time.monotonic(), tuple(processes)
        self._under_way = self._thread.submit(lambda: {process.tick: process.memory() for process in of})
