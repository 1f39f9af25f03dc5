"""How fast a replay is observed, and how large its observations are.

`python benchmarks/observing.py PROGRAM` records the program, replays it once as it is, once observed and once observed
in all code, and prints millions of ticks a second of the process's processor time, for others may use the machine, and
bytes a tick, as they come and after zstd.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import zstandard
from retroscope.replay.launch import Launcher
from retroscope.replay.observing import Observer, wait_for
from retroscope.replay.process import ReplayProcess
from retroscope.replay.protocol import TO_THE_END
from retroscope.replay.recording import Recording


def processor_seconds(pid: int) -> float:
    """What a process has used so far."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def replay(process: ReplayProcess) -> tuple[int, float]:
    """Ticks and seconds of processor time of one replay."""
    before = processor_seconds(process.pid)
    stopped = process.run(TO_THE_END)
    return stopped.tick, processor_seconds(process.pid) - before


def observe(process: ReplayProcess, all_code: bool) -> tuple[int, float, list[bytes]]:
    """Ticks and seconds of processor time of one observed replay, and its blocks."""
    observer = Observer(process, all_code)
    before = processor_seconds(process.pid)
    observer.begin(TO_THE_END)
    while process.fileno() not in set(wait_for(observer.descriptors(), 1.0)):
        observer.read()
    stopped = observer.finish()
    return stopped.tick, processor_seconds(process.pid) - before, observer.blocks


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
        launcher = Launcher(Recording(trace))
        root = launcher.launch()
        show("replayed", *replay(root.fork()), [])
        show("observed", *observe(root.fork(), all_code=False))
        show("observed, all code in full", *observe(root.fork(), all_code=True))
        root.close()
        launcher.close()


if __name__ == "__main__":
    main()
