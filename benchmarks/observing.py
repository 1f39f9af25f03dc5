"""How fast a replay is observed, and how large its observations are.

`python benchmarks/observing.py PROGRAM` records the program, replays it once as it is, once observed and once observed
in all code, and prints millions of ticks a second and bytes a tick, as they come and after zstd.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import zstandard
from retroscope.replay.launch import Launcher
from retroscope.replay.observation import Observation
from retroscope.replay.protocol import TO_THE_END
from retroscope.replay.recording import Recording


def replay(trace: Path) -> tuple[int, float]:
    """Ticks and seconds of one replay."""
    launcher = Launcher(Recording(trace))
    process = launcher.launch()
    try:
        began = time.perf_counter()
        stopped = process.run(TO_THE_END)
        return stopped.tick, time.perf_counter() - began
    finally:
        process.close()
        launcher.close()


def observe(trace: Path, all_code: bool) -> tuple[int, float, list[bytes]]:
    """Ticks and seconds of one observed replay with its launch, and the blocks."""
    observation = Observation(Recording(trace), all_code)
    began = time.perf_counter()
    blocks = list(observation.blocks())
    seconds = time.perf_counter() - began
    assert observation.end is not None, "it ended without a word"
    return observation.end.tick, seconds, blocks


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
        show("replayed", *replay(trace), [])
        show("observed", *observe(trace, all_code=False))
        show("observed, all code in full", *observe(trace, all_code=True))


if __name__ == "__main__":
    main()
