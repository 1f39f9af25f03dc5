"""Runs pytest on every supported Python found, then the Node tests; ends with each run's closing line.

In: paths or options for pytest (default: everything). Out: exit status 0 when every run passed, else 1. Everything is
run by as many pytest processes at a time as there are processors; those of one Python share its modules
(tests/conftest.py). Then the tests that are marked `alone` follow, one after the other. With paths or options there is
one process for each Python, one after the other. Node tests run when Node is there and no selection was given.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import environments

ROOT = environments.ROOT
AT_A_TIME = min(environments.processors(), 4)
"""pytest processes: on a machine that shows more processors than it gives, many more would starve each other."""


@dataclass(frozen=True)
class Run:
    """pytest by one Python. `label` is before each line that it prints, where several run at a time."""

    name: str
    python: Path
    arguments: list[str]
    label: str = ""


@dataclass(frozen=True)
class Ended:
    run: Run
    status: int
    closing: str


def run_pytest(run: Run) -> Ended:
    """Runs pytest, passing its output on."""
    print(f"\n{run.label}pytest {' '.join(run.arguments)} on Python {run.name}\n", end="", flush=True)
    command = [str(run.python), "-m", "pytest", *run.arguments]
    closing = ""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pytest:
        assert pytest.stdout is not None
        for line in pytest.stdout:
            print(run.label + line, end="", flush=True)
            closing = line.strip() or closing
    return Ended(run, pytest.returncode, closing)


def run_everything(ready: dict[str, Path], folder: Path) -> list[Ended]:
    """All tests on these Pythons. `folder`: where the processes of one Python tell each other what they have taken."""
    shared, alone = [], []
    for name, python in ready.items():
        (folder / name).mkdir()
        share = ["-m", "not alone", f"--share={folder / name}"]
        shared += [Run(name, python, share, f"{name}/{number}  ") for number in range(1, AT_A_TIME + 1)]
        alone.append(Run(name, python, ["-m", "alone"]))
    with ThreadPoolExecutor(AT_A_TIME) as at_a_time:
        ended = list(at_a_time.map(run_pytest, shared))
    return ended + [run_pytest(run) for run in alone]


def node_projects() -> list[Path]:
    """Folders with Node tests: every package.json of ours that has a `test` script."""
    found = [*ROOT.glob("tests/**/package.json"), ROOT / "vscode-extension" / "package.json"]
    ours = [path for path in found if path.exists() and "node_modules" not in path.parts]
    return sorted(path.parent for path in ours if re.search(r'"test"\s*:', path.read_text()))


def run_node(project: Path, python: Path) -> int:
    """Installs a Node project's packages when they are absent and runs its tests against the `scope` of `python`."""
    print(f"\nnode tests in {project.relative_to(ROOT)}", flush=True)
    environment = {**os.environ, "SCOPE": str(python.parent / "scope"), "SCOPE_PYTHON": str(python)}
    environment["PATH"] = f"{python.parent}{os.pathsep}{environment['PATH']}"
    if not (project / "node_modules").exists():
        install = "ci" if (project / "package-lock.json").exists() else "install"
        if subprocess.run(["npm", install, "--no-audit", "--no-fund"], cwd=project, check=False).returncode:
            return 1
    return subprocess.run(["npm", "test"], cwd=project, env=environment, check=False).returncode


def count(lines: list[str], word: str) -> int:
    return sum(int(number) for line in lines for number in re.findall(rf"(\d+) {word}", line))


def main(arguments: list[str]) -> int:
    pythons = environments.interpreters()
    if not pythons:
        print("no CPython 3.11, 3.12 or 3.13 was found on PATH or among pyenv's versions", file=sys.stderr)
        return 1
    ready = environments.prepare_all(pythons)
    if arguments:
        ended = [run_pytest(Run(name, python, arguments)) for name, python in ready.items()]
    else:
        with tempfile.TemporaryDirectory() as folder:
            ended = run_everything(ready, Path(folder))
    failed = [f"{each.run.label}pytest on Python {each.run.name}" for each in ended if each.status]
    if not arguments and shutil.which("npm"):
        newest = list(ready.values())[-1]
        failed += [f"node tests in {project.name}" for project in node_projects() if run_node(project, newest)]
    print()
    for problem in failed:
        print(f"failed: {problem}")
    for name in ready:
        print(f"Python {name}:", *(each.closing for each in ended if each.run.name == name), sep="\n")
    lines = [each.closing for each in ended]
    broken = count(lines, "failed") + count(lines, "errors?")
    print(f"{count(lines, 'passed')} passed, {broken} failed, {count(lines, 'skipped')} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except subprocess.CalledProcessError as failure:
        print(f"setting up failed: {' '.join(map(str, failure.cmd))}", file=sys.stderr)
        sys.exit(1)
