"""The same programs under Retroscope and under other recorders of Python; writes docs/performance.md.

    python benchmarks/rivals.py [--homes FOLDER] [--rounds N] [--write] [NAME …]

Each recorder is installed from PyPI into an environment of its own below FOLDER (build/rivals). Every number is
measured in this run; a cell says what failed, in the recorder's own words. Exit status 1 when Retroscope itself failed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from debug_client import AdapterFailed
from recorders import RECORDERS, Failed, Recorder, Session, timed

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PAGE = ROOT / "docs" / "performance.md"
MARK = "<!-- made by benchmarks/rivals.py -->"
PROGRAMS = {"ledger": "20000", "readings": "500", "racing_threads": "20000"}
"""Each with its argument: small enough for the slowest to end."""
LONG = "1000000"
"""The ledger's argument for those that record it at less than MOST times its plain time."""
MOST = 60.0
LAST_LINE = "print(ledger.total + ledger.opened)"
NONE = "—"


@dataclass
class Row:
    """What was found out about one recorder."""

    name: str
    version: str
    cells: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def measure(self, what: str, work: Callable[[], str]) -> None:
        """Adds a cell; a failure of the recorder is the cell's note."""
        try:
            self.cells.append(work())
        except (Failed, AdapterFailed) as failure:
            self.cells.append("failed")
            self.notes.append(f"{what}: {failure}")


def prepare(recorder: Recorder, homes: Path) -> Path:
    """The environment of a recorder, made when it is not there; Failed says why it cannot be."""
    if recorder.name == "retroscope":
        return Path(sys.prefix)
    home = homes / recorder.name
    if not (home / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        pip = [home / "bin/python", "-m", "pip", "--disable-pip-version-check", "install", "-q", recorder.name]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(f"cannot be installed here: {done.stderr.strip().splitlines()[-1][:200]}")
        (home / "ready").touch()
    return home


def plain_seconds(program: str, argument: str, rounds: int) -> float:
    command = [sys.executable, str(HERE / "programs" / f"{program}.py"), argument]
    return min(timed(lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=True)) for _ in range(rounds))


class Measured:
    """One recorder on every program, each recording in a folder of its own."""

    def __init__(self, recorder: Recorder, home: Path, folder: Path, rounds: int) -> None:
        self._recorder = recorder
        self._home = home
        self._folder = folder
        self._rounds = rounds
        self._printed: dict[str, str] = {}
        self.remarks: list[str] = []
        self.slowest = 0.0
        """The worst slow-down so far."""

    def session(self, program: str) -> Session:
        folder = self._folder / program
        folder.mkdir(exist_ok=True)
        copy = folder / f"{program}.py"
        shutil.copy(HERE / "programs" / copy.name, copy)
        return Session(folder, copy, self._home)

    def slow_down(self, program: str, argument: str, plain: float) -> str:
        """Recording it, over plain Python; the last recording stays for the other questions."""
        taken: list[float] = []
        for _ in range(self._rounds):
            shutil.rmtree(self._folder / program, ignore_errors=True)
            session = self.session(program)
            taken.append(timed(lambda: self._record(program, session, argument)))  # noqa: B023
        self.slowest = max(self.slowest, min(taken) / plain)
        return f"{min(taken) / plain:.1f}x, {_bytes(self._recorder.size(session))}"

    def long_ledger(self, plain: float) -> str:
        """The ledger with more rounds, where that ends while one waits."""
        if not self._recorded("ledger") or self.slowest > MOST:
            return "not tried"
        return self.slow_down("ledger", LONG, plain)

    def _record(self, program: str, session: Session, argument: str) -> None:
        self._printed[program] = self._recorder.record(session, [argument])

    def browse(self) -> str:
        found = self._recorder.browse(self.session("ledger"), line_of(LAST_LINE)) if self._recorded("ledger") else None
        return NONE if found is None else f"{_time(found[0])}, {_time(found[1])}"

    def last_write(self) -> str:
        if not self._recorded("ledger"):
            return NONE
        found = self._recorder.last_write(self.session("ledger"), line_of(LAST_LINE))
        return NONE if found is None else _time(found)

    def same(self, program: str) -> str:
        """Whether running the recording again prints what was printed."""
        again = self._recorder.replayed(self.session(program)) if self._recorded(program) else None
        if again is None:
            return NONE
        before, now = _last(self._printed[program])[:50], _last(again)[:50] or "nothing"
        if now == before:
            return "yes"
        self.remarks.append(f"{program} again: printed {now}, and when it was recorded {before}")
        return "no"

    def _recorded(self, program: str) -> bool:
        return program in self._printed


def row_of(recorder: Recorder, homes: Path, plain: dict[str, float], rounds: int) -> Row:
    try:
        home = prepare(recorder, homes)
    except Failed as failure:
        return Row(recorder.name, "", notes=[str(failure)])
    row = Row(recorder.name, recorder.version(home), notes=[recorder.remark] if recorder.remark else [])
    with tempfile.TemporaryDirectory() as folder:
        measured = Measured(recorder, home, Path(folder), rounds)
        for program, argument in PROGRAMS.items():
            work = partial(measured.slow_down, program, argument, plain[program])
            row.measure(f"recording {program}", work)
        row.measure("going to the last line and back", measured.browse)
        row.measure("last write", measured.last_write)
        for program in ("readings", "racing_threads"):
            row.measure(f"replaying {program}", partial(measured.same, program))
        row.measure(f"recording ledger {LONG}", partial(measured.long_ledger, plain["long"]))
        row.notes += measured.remarks
    return row


def table(rows: list[Row], plain: dict[str, float]) -> str:
    heads = [
        "recorder", *(f"`{name} {PROGRAMS[name]}` ({_time(plain[name])} plain)" for name in PROGRAMS),
        "to its last line, one step back", "last write", "`readings` again", "`racing_threads` again",
        f"`ledger {LONG}` ({_time(plain['long'])} plain)",
    ]  # fmt: skip
    lines = [_line(heads), _line(["---"] * len(heads))]
    lines += [_line([f"{row.name} {row.version}", *(row.cells or [NONE] * (len(heads) - 1))]) for row in rows]
    notes = [f"- {row.name}: {note.replace('|', '/')}" for row in rows for note in row.notes]
    return "\n".join([*lines, "", *notes])


def document(text: str, rounds: int, load: tuple[float, float]) -> str:
    """The page, with this run's table in place of the one that it has."""
    before, _, rest = PAGE.read_text().partition(MARK)
    _, _, after = rest.partition(MARK)
    machine = f"Python {sys.version.split()[0]}, {os.cpu_count()} processors; minimum of {rounds} runs."
    machine += f" Others' work on the machine meanwhile: load {load[0]:.1f} before, {load[1]:.1f} after."
    return f"{before}{MARK}\n\n{machine}\n\n{text}\n\n{MARK}{after}"


def line_of(text: str) -> int:
    lines = (HERE / "programs" / "ledger.py").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _last(text: str) -> str:
    """The last line that is the program's own: recorders add words in colours or with dashes."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def _time(seconds: float) -> str:
    return NONE if seconds != seconds else f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.1f} s"


def _bytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.0f} KB"


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare Retroscope with other recorders of Python.")
    parser.add_argument("--homes", type=Path, default=ROOT / "build" / "rivals", help="where their environments are")
    parser.add_argument("--rounds", type=int, default=3, help="runs of which the fastest counts (default 3)")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    parser.add_argument("names", nargs="*", help="only these recorders")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    plain = {program: plain_seconds(program, argument, options.rounds) for program, argument in PROGRAMS.items()}
    plain["long"] = plain_seconds("ledger", LONG, options.rounds)
    rows = []
    for recorder in RECORDERS:
        if not options.names or recorder.name in options.names:
            rows.append(row_of(recorder, options.homes.resolve(), plain, options.rounds))
            print(rows[-1], file=sys.stderr, flush=True)
    text = table(rows, plain)
    print(text)
    if options.write:
        PAGE.write_text(document(text, options.rounds, (before, os.getloadavg()[0])))
    return int(any(row.name == "retroscope" and "failed" in row.cells for row in rows))


if __name__ == "__main__":
    sys.exit(main())
