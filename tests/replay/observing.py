"""A replay that is observed, from here on up: the blocks it sends, and what they say line by line."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from retroscope.recorder import _core
from retroscope.replay.launch import Launcher
from retroscope.replay.process import ReplayProcess
from retroscope.replay.protocol import TO_THE_END, Stopped
from retroscope.replay.recording import Recording

LINE, ENTER, LEAVE, RESUME, LOCAL, CONTENT, ATTR, ITEM, NAME, RAISE, FREED = (1 << i for i in range(11))
INPUT, KEPT = 2048, 4096
ALL = (1 << 16) - 1

Shown = tuple[str, bool]
"""What is shown of a value, and whether that is cut."""


class Blocks(threading.Thread):
    """Reads what an observer sends; `blocks` is complete after `close`."""

    def __init__(self) -> None:
        super().__init__()
        ours, self.theirs = os.pipe()
        self._stream = os.fdopen(ours, "rb")
        self.blocks: list[bytes] = []
        self.start()

    def run(self) -> None:
        with self._stream:
            while head := self._stream.read(4):
                self.blocks.append(self._stream.read(struct.unpack("<I", head)[0]))

    def close(self) -> None:
        """After the observer's own end is closed."""
        self.join()


def observe(
    trace: Path, all_code: bool = False, stops: tuple[int, ...] = (), start: int = 0
) -> tuple[list[bytes], Stopped]:
    """The blocks of a whole run, observed from the tick `start` on, with stops in between."""
    launcher = Launcher(Recording(trace))
    reader = Blocks()
    process = launcher.launch()
    try:
        if start:
            process.run(start)
        process.observe(reader.theirs, all_code)
        os.close(reader.theirs)
        for tick in (*stops, TO_THE_END):
            stopped = process.run(tick)
    finally:
        process.close()
        launcher.close()
        reader.close()
    return reader.blocks, stopped


def started(trace: Path) -> tuple[Launcher, ReplayProcess]:
    launcher = Launcher(Recording(trace))
    return launcher, launcher.launch()


@dataclass
class Follower:
    """Follows frames and their variables through blocks in order, fact by fact."""

    codes: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    variables: dict[int, dict[str, Any]] = field(default_factory=dict)
    threads: dict[int, int] = field(default_factory=dict)

    def facts(self, block: bytes) -> Iterator[tuple[Any, ...]]:
        codes = _core.block_codes(block)
        for frame, address, code, _ in _core.block_frames(block):
            self.codes[frame or -address] = codes[code]
        for fact in _core.block_events(block, 0, TO_THE_END, ALL):
            self._note(fact, codes)
            yield fact

    def _note(self, fact: tuple[Any, ...], codes: list[tuple[Any, ...]]) -> None:
        kind, _, frame, *rest = fact
        if kind == ENTER:
            self.codes[frame] = codes[rest[0]]
            self.variables[frame] = {}
        elif kind in (LOCAL, CONTENT, KEPT):
            name = self.codes[frame][3][rest[0]]
            self.variables.setdefault(frame, {})[name] = rest[1]

    def thread(self, number: int) -> int:
        """From 0, in the order in which threads are asked for."""
        return self.threads.setdefault(number, len(self.threads))

    def shown(self, frame: int) -> dict[str, Shown]:
        """The bound variables of a frame as text."""
        return {name: shown(value) for name, value in self.variables.get(frame, {}).items() if value is not None}


def shown(value: tuple[str, int, str, int] | None) -> Shown:
    return ("", False) if value is None else (value[2], bool(value[3] & 1))
