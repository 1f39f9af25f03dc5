"""An hour of a busy service, by volume: does the memory of recorder, drain and replay stay flat?

    python benchmarks/hour.py [--requests N]

Records `programs/service_hours.py` and verifies it, and shows how much memory each process holds meanwhile that the
system cannot take back: anonymous and shared memory, in proportion (PSS), from /proc. An hour at 500 requests a second
is 1.8 million requests, 13 million inputs. Linux only.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
SCOPE = str(Path(sys.executable).parent / "scope")
EVERY = 0.1


@dataclass(frozen=True)
class Growth:
    """Memory of one process or of several together, in bytes: at its most in the first half of the time, and after."""

    early: int
    most: int

    def __str__(self) -> str:
        return f"at most {self.early / 1e6:5.1f} MB in the first half, {self.most / 1e6:5.1f} MB in the second"


def held(pid: int) -> int:
    """Bytes that are there because of a process and that only its end gives back; 0 when it is gone."""
    try:
        rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(row.split()[1]) * 1024 for row in rows if row.startswith(("Pss_Anon:", "Pss_Shmem:")))


def descendants(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return children + [each for child in children for each in descendants(child)]


def growth(samples: Sequence[int]) -> Growth:
    """`samples` at even distances."""
    half = len(samples) // 2
    return Growth(max(samples[: half + 1]), max(samples[half:]))


def watched(command: Sequence[str | Path]) -> tuple[Growth, Growth, float]:
    """(of the process itself, of all that it starts together, seconds) while a command runs; it must end well."""
    began = time.monotonic()
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL) as process:
        own, others = [], []
        while process.poll() is None:
            own.append(held(process.pid))
            others.append(sum(map(held, descendants(process.pid))))
            time.sleep(EVERY)
    if process.returncode:
        raise RuntimeError(f"{command[1]} ended with {process.returncode}")
    return growth(own), growth(others), time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description="Record and verify an hour of a busy service, by volume.")
    parser.add_argument("--requests", type=int, default=1_800_000, help="seven inputs each (default: 1,800,000)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "hour.db"
        program = [HERE / "programs" / "service_hours.py", options.requests]
        drain, recorded, seconds = watched([SCOPE, "record", "-q", "-o", trace, *map(str, program)])
        print(f"recording {options.requests:,} requests: {seconds:.0f} s, trace {trace.stat().st_size / 1e6:.0f} MB")
        print(f"  program and recorder  {recorded}\n  drain                 {drain}", flush=True)
        controller, replayed, seconds = watched([SCOPE, "verify", trace])
        print(f"verifying it: {seconds:.0f} s")
        print(f"  replay                {replayed}\n  controller            {controller}")


if __name__ == "__main__":
    main()
