"""Records programs whose order is left to chance again and again, with --chaos, and verifies each recording.

In: the `scope` commands of some Pythons, and how many runs of each program are wanted. Out: one line of JSON for each
run in FOLDER/runs.jsonl, the trace and the messages of each run that does not verify, and a table. A run is *exact*
when the replay ends where the recording ended, and with the same output. Ended at any moment, it goes on where it was:
runs that are in the file are not made again. The chaos seed of a run is its number, so it can be made again by hand.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "proof.md"
CLOSING = b"0 divergences\n"

PROGRAMS = {
    "race: lost update": "races/lost_update.py",
    "race: check then act": "races/check_then_act.py",
    "race: lock order": "races/lock_order.py",
    "race: singleton": "races/singleton.py",
    "race: four threads": "programs/threads_race.py",
    "threads that wait, pool, as_completed": "programs/threads_waiting.py",
    "threads that end, or do not": "programs/threads_ending.py",
    "threads and their locals": "programs/threads_locals.py",
    "threads that are idle": "programs/threads_idle.py",
    "threads that enter functions in every way": "programs/threads_entries.py",
    "threads that fork": "programs/processes_threads.py",
    "process pool: fork": "programs/processes_pool.py",
    "process pool: spawn": "programs/processes_pool.py spawn",
    "process pool: forkserver": "programs/processes_pool.py forkserver",
    "asyncio: tasks, as_completed": "programs/asyncio_tasks.py",
    "asyncio: streams, executor, signals": "programs/asyncio_streams.py",
    "signals: handlers in busy loops": "programs/signals_busy.py",
    "signals: a timer in a loop": "programs/signals_loop.py",
    "signals: in calls that wait": "programs/signals_waiting.py",
    "Ctrl-C: in a loop": "programs/signals_interrupt.py loop",
    "Ctrl-C: on one line": "programs/signals_interrupt.py line",
    "Ctrl-C: in functions": "programs/signals_interrupt.py function",
    "Ctrl-C: among objects": "programs/signals_interrupt.py objects",
    "Ctrl-C: in a sleep": "programs/signals_interrupt.py sleep",
    "Ctrl-C: twice": "programs/signals_interrupt.py finally",
    "service: jobs in SQLite, threads": "programs/service_jobs.py",
    "service: asyncio, subprocesses, signals": "programs/service_asyncio.py",
    "service: processes, shared memory": "programs/service_blocks.py",
    "service: logging through queues, rotation": "programs/service_logging.py",
    "service: proxy with selectors": "programs/service_proxy.py",
    "garbage: finalizers, weak references": "programs/collection.py",
    "garbage: cycles at the end": "programs/cycles_at_exit.py",
}
"""What a person calls it: file below fixtures, and arguments."""

INTRODUCTION = """\
# Runs that were recorded and replayed

Programs whose order is left to chance, each recorded with `--chaos` as many times as the table says and verified each
time: the replay had to end where the recording ended, with the same output. Made by `tools/prove.py`.

All runs are of the scheduler that docs/adr/003-the-turn.md describes; what was made with the one before it is not
counted here. The first runs of each program are with the core of commit 19dc1b6 (28 to 30 on 3.11 and 3.13, 106 to
108 on 3.12; 20 to 22 of a service); those after them are on 3.12 with that of 5557a86, on 3.13 with that of 7b777c7,
and on 3.11 with that of 082f82d up to 75 of each (52 of Ctrl-C, 65 or 73 of a few), and then with that of 2018908.
What was changed in the core after it is not in them.

A run that is not exact is a fault to be found, and then the runs begin anew: so did these, after one of the first
hundred ("process pool: fork" on 3.11) had a garbage collection recorded behind os._exit, the last record of a process.
"""

FOUND = """\
How often `--chaos` found what is wrong with the races: recordings that failed, of all.
"""


@dataclass
class Run:
    """How one run went. `python` as 3.12; `recorded` and `verified` are exit statuses, None: ended after its time."""

    python: str
    program: str
    number: int
    recorded: int | None
    verified: int | None
    exact: bool
    seconds: float


def run(command: list[str], folder: Path, seconds: float) -> tuple[int | None, bytes, bytes]:
    """Status, stdout, stderr of a command in a process group of its own, which is killed after `seconds`."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            start_new_session=True,
        )  # fmt: skip
        try:
            status: int | None = process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            status = None
        out.seek(0)
        err.seek(0)
        return status, out.read(), err.read()


def prove(scope: str, python: str, program: str, number: int, kept: Path, seconds: float) -> Run:
    """Makes one run; what does not verify is kept in `kept`."""
    file, *arguments = PROGRAMS[program].split()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        trace, folder = Path(name) / "trace.db", Path(name) / "run"
        folder.mkdir()
        command = [scope, "record", "-q", f"--chaos={number}", "-o", str(trace), str(ROOT / "fixtures" / file)]
        recorded, output, messages = run([*command, *arguments], folder, seconds)
        verified, again, told = run([scope, "verify", "--output", str(trace)], folder, seconds)
        same = sorted(output.splitlines()) == sorted(again.splitlines())  # of several processes: whoever was first
        exact = recorded is not None and verified == 0 and same and told.endswith(CLOSING)
        if not exact:
            stem = f"{python}-{file.rpartition('/')[2]}-{'-'.join(arguments)}{number}"
            if trace.exists():
                shutil.copy(trace, kept / f"{stem}.db")
            texts = {"recorded stdout": output, "recorded stderr": messages, "stdout": again, "stderr": told}
            parts = (f"--- {title}\n".encode() + text for title, text in texts.items())
            (kept / f"{stem}.txt").write_bytes(b"".join(parts))
    return Run(python, program, number, recorded, verified, exact, round(time.monotonic() - began, 2))


def version_of(scope: str) -> str:
    """The Python behind a `scope` command, as 3.12."""
    text = "import sys; print('.'.join(map(str, sys.version_info[:2])))"
    python = Path(scope).parent / "python"
    return subprocess.run([str(python), "-c", text], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def known(file: Path) -> list[Run]:
    return [Run(**json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []


def table(runs: list[Run]) -> list[str]:
    """Exact runs of all runs, a column for each Python."""
    pythons = sorted({each.python for each in runs}, key=lambda text: int(text.partition(".")[2]))
    made, exact = (
        Counter((each.program, each.python) for each in runs if each.exact or not only) for only in (False, True)
    )
    lines = [f"| program | {' | '.join(pythons)} |", "| --- |" + " --- |" * len(pythons)]
    for program in PROGRAMS:
        cells = [f"{exact[program, python]} of {made[program, python]}" for python in pythons]
        lines.append(f"| {program} | {' | '.join(cells)} |")
    sums = [
        f"{sum(exact[program, python] for program in PROGRAMS)} of {sum(made[program, python] for program in PROGRAMS)}"
        for python in pythons
    ]
    return [*lines, f"| all | {' | '.join(sums)} |"]


def found(runs: list[Run]) -> list[str]:
    """Recordings in which a race failed, of all of it, a column for each Python."""
    pythons = sorted({each.python for each in runs}, key=lambda text: int(text.partition(".")[2]))
    lines = [f"| program | {' | '.join(pythons)} |", "| --- |" + " --- |" * len(pythons)]
    for program in (each for each, file in PROGRAMS.items() if file.startswith("races/")):
        of = [[run.recorded for run in runs if (run.program, run.python) == (program, python)] for python in pythons]
        cells = [f"{sum(status != 0 for status in statuses)} of {len(statuses)}" for statuses in of]
        lines.append(f"| {program} | {' | '.join(cells)} |")
    return lines


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Record programs many times, verify each recording, count.")
    parser.add_argument("--scope", action="append", help="a scope command (default: those below .venv/)")
    parser.add_argument("--runs", type=int, default=200, metavar="N", help="of each program (default: 200)")
    parser.add_argument("--only", metavar="TEXT", default="", help="only programs with TEXT in their line")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "proof", help="where the results are kept")
    parser.add_argument("--seconds", type=float, default=120, help="that a command may take (default: 120)")
    parser.add_argument("--table", action="store_true", help="only print the table of the runs that were made")
    parser.add_argument("--document", action="store_true", help="write docs/proof.md from them")
    return parser.parse_args()


def wanted(runs: list[Run], most: int, scopes: dict[str, str], only: str) -> list[tuple[int, str, str]]:
    """(number, program, Python) of each run that is still to be made; all programs once, then all again."""
    done = {(each.number, each.program, each.python) for each in runs}
    programs = [program for program in PROGRAMS if only in program]
    every = [(number, program, python) for number in range(most) for program in programs for python in scopes]
    return [each for each in every if each not in done]


def main() -> int:
    given = arguments()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background job, and so in programs
    given.folder.mkdir(parents=True, exist_ok=True)
    file = given.folder / "runs.jsonl"
    runs = known(file)
    if not (given.table or given.document):
        ours = [*ROOT.glob(".venv/tools/bin/scope"), *sorted(ROOT.glob(".venv/3.*/bin/scope"))]
        scopes = {version_of(scope): scope for scope in given.scope or ours}
        for number, program, python in wanted(runs, given.runs, scopes, given.only):
            made = prove(str(scopes[python]), python, program, number, given.folder, given.seconds)
            runs.append(made)
            with file.open("a") as results:
                results.write(json.dumps(asdict(made)) + "\n")
            if not made.exact:
                print(f"not exact: {program} on {python}, run {number}: verify {made.verified}", flush=True)
    print("\n".join(table(runs)))
    if given.document:
        DOCUMENT.write_text("\n".join([INTRODUCTION, *table(runs), "", FOUND, *found(runs), ""]))
    return 0 if all(each.exact for each in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
