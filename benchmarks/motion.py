"""How fast one moves in a recording: steps both ways, jumps, the last hit of a line, the last write of a name.

`python benchmarks/motion.py PROGRAM [TRACE]` records the program unless the trace is there, and prints milliseconds.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from retroscope.replay.timeline import Breakpoint, Moment, Tick, Timeline

ROUNDS = 20


def milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def show(what: str, taken: list[float]) -> None:
    ordered = sorted(taken)
    p95 = ordered[min(len(ordered) - 1, len(ordered) * 95 // 100)]
    print(f"{what:34} median {statistics.median(ordered):9.1f} ms   95th percentile {p95:9.1f} ms", flush=True)


def measure(timeline: Timeline, last: int) -> None:
    places = [Tick(random.randint(timeline.entry, last)) for _ in range(ROUNDS)]
    show("goto any tick", [milliseconds(lambda tick=tick: timeline.goto(tick)) for tick in places])  # type: ignore[misc]
    motions: list[Callable[[], Moment]] = [
        timeline.step, timeline.next, timeline.reverse_step, timeline.reverse_next,
    ]  # fmt: skip
    for motion in motions:
        timeline.goto(Tick(last // 2))
        show(motion.__name__.replace("_", "-"), [milliseconds(motion) for _ in range(ROUNDS)])
    timeline.goto(Tick(last // 2))
    frame = timeline.stack()[0]
    timeline.set_breakpoints([Breakpoint(1, path=frame.path, line=frame.line)])
    show("reverse-continue to a line's hit", [milliseconds(timeline.reverse_run) for _ in range(ROUNDS)])
    timeline.set_breakpoints([])


def main() -> None:
    random.seed(1)
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(sys.argv[2] if len(sys.argv) > 2 else f"{folder}/trace.db")
        if not trace.exists():
            scope = Path(sys.executable).parent / "scope"
            subprocess.run([str(scope), "record", "-q", "-o", str(trace), sys.argv[1]], check=True)
        began = time.perf_counter()
        with Timeline.open(trace) as timeline:
            print(f"open until the first stop: {(time.perf_counter() - began) * 1000:.0f} ms")
            end = timeline.goto_end()
            print(f"to the end, {end.tick} ticks: {(time.perf_counter() - began) * 1000:.0f} ms in all")
            measure(timeline, end.tick)


if __name__ == "__main__":
    main()
