"""Stopping long work from the thread that does not do it."""

from __future__ import annotations

import threading
from collections.abc import Callable

STOP_ATTEMPTS = 5
STOP_INTERVAL = 0.1
"""Seconds between two attempts to stop the work under way; the client's next request is not read meanwhile."""


class Interruption:
    """Stops the work under way, from the reading thread.

    The serving thread names what would stop its work with `during`; outside such a stretch there is nothing to stop.
    Work that is `resumable` can be stopped `briefly`, and then goes on when `may_go_on` says so.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = threading.Condition(self._lock)
        self._stop: Callable[[], None] | None = None
        self._expected = False
        self._resumable = False
        self._briefly = False
        self._for_good = False

    def expect(self) -> None:
        """Work is about to begin: who wants to stop it from now on waits for it."""
        with self._lock:
            self._expected = True

    def expect_no_more(self) -> None:
        with self._lock:
            self._expected = False
            self._ended.notify_all()

    def during(self, stop: Callable[[], None], work: Callable[[], None], *, resumable: bool = False) -> None:
        with self._lock:
            self._stop = stop
            self._expected = False
            self._resumable = resumable
            self._briefly = self._for_good = False
        try:
            work()
        finally:
            with self._lock:
                self._stop = None
                self._ended.notify_all()

    def for_good(self) -> None:
        """Asks more than once: a motion that is just beginning forgets what was asked before it began."""
        with self._lock:
            for _ in range(STOP_ATTEMPTS):
                self._for_good = True
                if self._stop is not None:
                    self._stop()
                elif not self._expected:
                    return
                self._ended.wait(STOP_INTERVAL)

    def briefly(self) -> None:
        with self._lock:
            for _ in range(STOP_ATTEMPTS):
                if self._stop is None or not self._resumable:
                    return
                self._briefly = True
                self._stop()
                if self._ended.wait_for(lambda: not self._briefly, STOP_INTERVAL):
                    return

    def may_go_on(self) -> bool:
        """Whether the work that was just stopped was stopped briefly. On the serving thread, within `during`."""
        with self._lock:
            briefly, self._briefly = self._briefly, False
            self._ended.notify_all()
            return briefly and not self._for_good

    @property
    def is_for_good(self) -> bool:
        with self._lock:
            return self._for_good
