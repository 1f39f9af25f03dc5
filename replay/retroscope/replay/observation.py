"""A replay that is observed from its beginning to its end: everything the program does, fact by fact, as it streams by.

Memory stays flat, however long the recording is: the process waits where nobody reads. What the facts are:
docs/observations.md.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from retroscope.recorder import _core
from retroscope.replay.divergence import diverged
from retroscope.replay.launch import launcher_of
from retroscope.replay.moments import ReplayError
from retroscope.replay.process import ReplayProcess
from retroscope.replay.protocol import TO_THE_END, Reason, Stopped
from retroscope.replay.recording import Recording

_MOST_BLOCK = 1 << 28

Fact = tuple[Any, ...]


@dataclass(frozen=True)
class Function:
    """The code that a frame runs. `names`: of its variables, by slot."""

    path: str
    name: str
    line: int
    names: tuple[str, ...]
    visible: bool
    generator: bool


class Observation:
    """One observed replay. Iterate over `blocks` once; `end` is where it ended then. Raises Diverged."""

    def __init__(self, recording: Recording, all_code: bool = False) -> None:
        self._recording = recording
        self._all_code = all_code
        self.end: Stopped | None = None
        self._died: ReplayError | None = None

    def blocks(self) -> Iterator[bytes]:
        """What the process writes, in order, each block checked for its size only."""
        launch, end_launching = launcher_of(self._recording)
        ours, theirs = os.pipe()
        with os.fdopen(ours, "rb", 1 << 20) as stream:
            try:
                process = launch()
                process.observe(theirs, self._all_code)
            finally:
                os.close(theirs)
            runner = threading.Thread(target=self._run, args=[process], daemon=True)
            runner.start()
            try:
                while head := stream.read(4):
                    size = int.from_bytes(head, "little")
                    block = stream.read(size) if size <= _MOST_BLOCK else b""
                    if len(block) < size:
                        break  # it died while it wrote
                    yield block
                runner.join()  # it is about to hear how it ended
            finally:
                process.kill()
                runner.join()
                end_launching()
        self._judge()

    def _run(self, process: ReplayProcess) -> None:
        try:
            self.end = process.run(TO_THE_END)
        except ReplayError as error:
            self._died = error
        process.kill()  # so that the reader comes to the end of the stream

    def _judge(self) -> None:
        if self._died is not None:
            raise ReplayError(f"the replay did not come to its end: {self._died}") from self._died
        if self.end is not None and self.end.reason in (Reason.DIVERGED, Reason.SEALED):
            raise diverged(self._recording, self.end.text, self.end.input)


class Frames:
    """Which function each frame runs, kept while facts stream by in order."""

    def __init__(self) -> None:
        self._functions: dict[int, Function] = {}
        self._codes: list[Function] = []

    def begin(self, block: bytes) -> None:
        """The next block: its tables, and the frames that began before it."""
        self._codes = [
            Function(path, name, line, names, bool(flags & 1), bool(flags & 2))
            for path, name, line, names, flags in _core.block_codes(block)
        ]
        for frame, address, code, _ in _core.block_frames(block):
            self._functions[frame or -address] = self._codes[code]

    def entered(self, frame: int, code: int) -> Function:
        """The function of an ENTER."""
        function = self._functions[frame] = self._codes[code]
        return function

    def left(self, frame: int, how: int) -> None:
        """After a LEAVE: only what yielded comes back."""
        if how != _YIELDED:
            self._functions.pop(frame, None)

    def of(self, frame: int) -> Function | None:
        return self._functions.get(frame)


_YIELDED = 1


def facts(block: bytes, kinds: int) -> list[Fact]:
    """The facts of a block, in order; ReplayError when it is damaged."""
    try:
        return _core.block_events(block, 0, TO_THE_END, kinds)
    except ValueError as error:
        raise ReplayError(f"what an observed replay process wrote cannot be read: {error}") from error
