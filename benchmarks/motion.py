"""How fast one moves in a recording: steps both ways, jumps, the last hit of a line, the last write of a name.

`python benchmarks/motion.py PROGRAM [TRACE]` records the program unless the trace is there, and prints milliseconds:
without an index, then what building one takes, then with it. For programs/hundred_million_ticks.py also what happened
once, at its start.
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

from retroscope.replay.index_building import IndexBuilder
from retroscope.replay.recording import Recording
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
    if any(path.endswith("hundred_million_ticks.py") for path in timeline.source_paths()):
        measure_rare(timeline, last)


def measure_rare(timeline: Timeline, last: int) -> None:
    """What happened once, at the beginning, asked from near the end."""
    hits, writes = [], []
    for back in range(3):
        timeline.goto(Tick(last - 20 - back))
        timeline.set_breakpoints([Breakpoint(1, function="once")])
        hits.append(milliseconds(timeline.reverse_run))
        timeline.set_breakpoints([])
        timeline.goto(Tick(last - 20 - back))
        frame = next(frame.id for frame in timeline.stack() if frame.function == "main")
        writes.append(milliseconds(lambda: timeline.last_write("box.rare", frame)))  # noqa: B023 - called at once
    show("reverse-continue to the only hit", hits)
    show("last-write, written once", writes)


def main() -> None:
    random.seed(1)
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(sys.argv[2] if len(sys.argv) > 2 else f"{folder}/trace.db")
        if not trace.exists():
            scope = Path(sys.executable).parent / "scope"
            subprocess.run([str(scope), "record", "-q", "-o", str(trace), sys.argv[1]], check=True)
        recording = Recording(str(trace))
        for indexed in (False, True):
            if indexed:
                built = IndexBuilder(recording).build()
                how = "was there" if built.again else f"{built.seconds:.1f} s"
                print(f"\nindex of {built.ticks} ticks, {built.bytes / built.ticks:.2f} bytes a tick: {how}")
            began = time.perf_counter()
            with Timeline.open(trace, use_index=indexed) as timeline:
                print(f"open until the first stop: {(time.perf_counter() - began) * 1000:.0f} ms")
                end = timeline.goto_end()
                print(f"to the end, {end.tick} ticks: {(time.perf_counter() - began) * 1000:.0f} ms in all")
                measure(timeline, end.tick)
        recording.close()


if __name__ == "__main__":
    main()
