"""Measures recording and replay against plain Python and prints one table.

    python benchmarks/run.py [--rounds N] [NAME …]

Every number is from this run and this machine: plain and recorded runs take turns, and the minimum of each is used,
because noise only adds. Exit status 1 when a measurement failed, 0 otherwise, also when a goal is missed: the table
says so.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROGRAMS = HERE / "programs"
PYTHON = sys.executable
SCOPE = str(Path(sys.executable).parent / "scope")
VERIFY_GOAL = 6.0 if sys.version_info < (3, 12) else 4.0
INDEX_GOAL = 1000 / (1.5 if sys.version_info < (3, 12) else 3)
"""Nanoseconds of a processor that indexing a tick may take: 1.5 and 3 million ticks a second."""
INPUTS = {"small_files": 1.5, "socket_pairs": 1.5, "sql_statements": 1.5}
"""Programs that do little but cross the boundary, and how often their plain time recording them may take."""
THREADS = {
    "lock_pairs": 2.0,
    "ping_pongs": 1.3,
    "queue_handovers": 3.0,
    "two_threads": 3.0 if sys.version_info < (3, 12) else 1.5,
    "echo_tasks": 1.2,
    "web_server": 1 / 0.85,
}
"""The same for programs with threads or tasks."""


@dataclass(frozen=True)
class Row:
    """One line of the table: `value` and `goal` in the same unit; smaller is better."""

    name: str
    value: float
    goal: float
    unit: str

    def __str__(self) -> str:
        verdict = "reached" if self.value <= self.goal else "MISSED"
        return f"{self.name:<44} {self.value:>9.2f} {self.unit:<8} at most {self.goal:>7.2f}   {verdict}"


class Bench:
    """Runs programs plainly and recorded in a scratch folder, `rounds` times each."""

    def __init__(self, rounds: int, folder: Path) -> None:
        self.rounds = rounds
        self.trace = folder / "trace.db"
        self.folder = folder

    def run(self, *command: str | Path) -> tuple[str, float]:
        """Standard output, and wall-clock seconds from start to exit."""
        began = time.perf_counter()
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        elapsed = time.perf_counter() - began
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, command))} ended with {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout, elapsed

    def record(self, *arguments: str | Path) -> tuple[str, float]:
        self.trace.unlink(missing_ok=True)
        return self.run(SCOPE, "record", "-q", "-o", self.trace, *arguments)

    def both(self, *arguments: str | Path) -> tuple[float, float]:
        """The smallest number that the program printed, plain and recorded, runs taking turns."""
        plain, recorded = [], []
        for _ in range(self.rounds):
            plain.append(float(self.run(PYTHON, *arguments)[0]))
            recorded.append(float(self.record(*arguments)[0]))
        return min(plain), min(recorded)

    def ratio(self, program: str, goal: float) -> Row:
        plain, recorded = self.both(PROGRAMS / f"{program}.py")
        return Row(f"recording {program.replace('_', ' ')}", recorded / plain, goal, "x")

    def call(self, statement: str) -> Row:
        plain, recorded = self.both(PROGRAMS / "calls.py", statement)
        return Row(f"one recorded {statement}", recorded - plain, 100, "ns more")

    def start(self) -> Row:
        plain, recorded = [], []
        for _ in range(max(self.rounds, 5)):
            plain.append(self.run(PYTHON, "-c", "")[1])
            recorded.append(self.record("-c", "")[1])
        return Row("start-up and closing of an empty program", (min(recorded) - min(plain)) * 1000, 80, "ms more")

    def verify(self, program: str) -> Row:
        source = PROGRAMS / f"{program}.py"
        self.record(source)
        plain = min(self.run(PYTHON, source)[1] for _ in range(self.rounds))
        replayed = min(self.run(SCOPE, "verify", self.trace)[1] for _ in range(min(self.rounds, 2)))
        return Row(f"verifying {program}", replayed / plain, VERIFY_GOAL, "x")

    def size(self) -> Row:
        self.record("-c", "")
        empty = self.trace.stat().st_size
        count = int(self.record(PROGRAMS / "clock_inputs.py")[0])
        return Row("trace bytes per clock input", (self.trace.stat().st_size - empty) / count, 12, "bytes")

    def steps(self, backwards: bool) -> Row:
        """The median step in a trace of ten million ticks, from moments spread over the whole run."""
        from retroscope.replay.timeline import Tick, Timeline

        self.record(PROGRAMS / "ten_million_ticks.py")
        taken: list[float] = []
        with Timeline.open(self.trace) as timeline:
            last = timeline.goto_end().tick
            if last < 9_000_000:
                raise RuntimeError(f"the trace for stepping has only {last} ticks")
            move = timeline.reverse_step if backwards else timeline.step
            for part in (2, 5, 8):
                timeline.goto(Tick(last * part // 10))
                for _ in range(15):
                    began = time.perf_counter()
                    move()
                    timeline.stack()  # what the prompt shows after each step
                    taken.append(time.perf_counter() - began)
        name = "reverse-step" if backwards else "step"
        return Row(f"one {name} in ten million ticks, median", statistics.median(taken) * 1000, 50, "ms")

    def goto(self) -> Row:
        """Going to moments in a trace of ten million ticks that has been run once."""
        from retroscope.replay.timeline import Tick, Timeline

        self.record(PROGRAMS / "ten_million_ticks.py")
        taken: list[float] = []
        with Timeline.open(self.trace) as timeline:
            last = timeline.goto_end().tick
            for part in range(1, 100, 5):
                tick = Tick(last * (part * 37 % 100) // 100)
                began = time.perf_counter()
                timeline.goto(tick)
                taken.append(time.perf_counter() - began)
        return Row("goto in ten million ticks, 95th percentile", sorted(taken)[-2] * 1000, 150, "ms")

    def index(self) -> Row:
        """Time of all processors together that building an index takes."""
        from retroscope.replay.index_building import IndexBuilder
        from retroscope.replay.recording import Recording

        self.record(PROGRAMS / "ten_million_ticks.py")
        built = [IndexBuilder(Recording(str(self.trace))).build(rebuild=True) for _ in range(self.rounds)]
        seconds = min(each.seconds for each in built) * len(os.sched_getaffinity(0))
        return Row("indexing a tick, time of a processor", seconds / built[0].ticks * 1e9, INDEX_GOAL, "ns")


def measurements(bench: Bench) -> Iterator[tuple[str, Callable[[], Row]]]:
    """Every line of the table by name, not measured yet."""
    for program in ("fib", "loops", "text", "objects"):
        yield program, lambda program=program: bench.ratio(program, 1.03)
    for statement in ("time.time()", "time.monotonic_ns()", "os.getpid()", "os.urandom(16)"):
        yield statement, lambda statement=statement: bench.call(statement)
    for program, goal in (INPUTS | THREADS).items():
        yield program, lambda program=program, goal=goal: bench.ratio(program, goal)
    yield "start", bench.start
    for program in ("fib", "loops", "text", "objects"):
        yield f"verify-{program}", lambda program=program: bench.verify(program)
    yield "size", bench.size
    yield "step", lambda: bench.steps(backwards=False)
    yield "reverse-step", lambda: bench.steps(backwards=True)
    yield "goto", bench.goto
    yield "index", bench.index


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure recording and replay against plain Python.")
    parser.add_argument("--rounds", type=int, default=5, help="runs of which the fastest counts (default 5)")
    parser.add_argument("names", nargs="*", help="only these lines")
    options = parser.parse_args()
    failed = 0
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} processors, minimum of {options.rounds}\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        lines = dict(measurements(Bench(options.rounds, Path(folder))))
        if unknown := set(options.names) - set(lines):
            parser.error(f"no line is called {', '.join(sorted(unknown))}; there are: {', '.join(lines)}")
        for name, measure in lines.items():
            if options.names and name not in options.names:
                continue
            try:
                print(measure(), flush=True)
            except Exception as error:  # one broken line must not hide the others; it is counted
                failed += 1
                print(f"{name:<44} failed: {error}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
