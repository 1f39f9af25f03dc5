"""How fast a replay is observed, and how large its observations are.

`python benchmarks/observing.py PROGRAM` records the program, replays it once as it is, once observed and once observed
in all code, and prints millions of ticks a second and bytes a tick, as they come and after zstd.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import zstandard
from retroscope.replay.launch import Launcher
from retroscope.replay.protocol import TO_THE_END
from retroscope.replay.recording import Recording


class Reader(threading.Thread):
    """Reads blocks to their end and keeps them."""

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


def replay(trace: Path, reader: Reader | None, all_code: bool) -> tuple[int, float]:
    """Ticks and seconds of one replay."""
    launcher = Launcher(Recording(trace))
    process = launcher.launch()
    try:
        if reader:
            process.observe(reader.theirs, all_code)
            os.close(reader.theirs)
        began = time.perf_counter()
        stopped = process.run(TO_THE_END)
        return stopped.tick, time.perf_counter() - began
    finally:
        process.close()
        launcher.close()


def show(what: str, ticks: int, seconds: float, blocks: list[bytes]) -> None:
    line = f"{what:28} {ticks / seconds / 1e6:7.2f} M ticks/s"
    if blocks:
        packed = sum(len(zstandard.compress(block, 3)) for block in blocks)
        line += f" {sum(map(len, blocks)) / ticks:8.2f} bytes a tick {packed / ticks:8.2f} after zstd"
    print(line, flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.db"
        scope = Path(sys.executable).parent / "scope"
        command = [str(scope), "record", "-q", "-o", str(trace), *sys.argv[1:]]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        show("replayed", *replay(trace, None, all_code=False), [])
        for what, all_code in (("observed", False), ("observed, all code in full", True)):
            reader = Reader()
            ticks, seconds = replay(trace, reader, all_code)
            reader.join()
            show(what, ticks, seconds, reader.blocks)


if __name__ == "__main__":
    main()
