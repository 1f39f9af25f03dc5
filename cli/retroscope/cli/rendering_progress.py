"""A bar on stderr for what takes over a second; nothing where no person looks."""

from __future__ import annotations

import sys
import time

_AFTER = 1.0
_EVERY = 0.1
_WIDTH = 30


class ProgressBar:
    """Call it with (ticks, inputs done, inputs in all); `clear` takes it off the screen."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._began = self._drawn = 0.0
        self._wanted = sys.stderr.isatty()

    def __call__(self, ticks: int, done: int, total: int) -> None:
        now = time.monotonic()
        self._began = self._began or now
        if not self._wanted or now - self._began < _AFTER or now - self._drawn < _EVERY:
            return
        self._drawn = now
        part = min(done / total, 1.0) if total else 0.0
        filled = int(part * _WIDTH)
        bar = "█" * filled + "░" * (_WIDTH - filled)
        sys.stderr.write(f"\r\x1b[K{self._what} {bar} {done:,} of {total:,} inputs, {ticks:,} ticks")
        sys.stderr.flush()

    def clear(self) -> None:
        """The task is over; the next call begins another one."""
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
        self._began = self._drawn = 0.0
