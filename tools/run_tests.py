"""Runs pytest on every supported Python found, then the Node tests; ends with each run's closing line.

In: paths or options for pytest (default: everything). Out: exit status 0 when every run passed, else 1. Node tests run
when Node is there and no selection was given.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import environments

ROOT = environments.ROOT


def run_pytest(python: Path, arguments: list[str]) -> tuple[int, str]:
    """Runs pytest, passing its output on; returns its status and its closing line."""
    command = [str(python), "-m", "pytest", *arguments]
    closing = ""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pytest:
        assert pytest.stdout is not None
        for line in pytest.stdout:
            print(line, end="", flush=True)
            closing = line.strip() or closing
    return pytest.returncode, closing


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


def count(closings: list[str], word: str) -> int:
    return sum(int(number) for line in closings for number in re.findall(rf"(\d+) {word}", line))


def main(arguments: list[str]) -> int:
    pythons = environments.interpreters()
    if not pythons:
        print("no CPython 3.11, 3.12 or 3.13 was found on PATH or among pyenv's versions", file=sys.stderr)
        return 1
    ready = {name: environments.prepare(name, executable, []) for name, executable in pythons.items()}
    failed: list[str] = []
    closings: dict[str, str] = {}
    for name, python in ready.items():
        print(f"\npytest on Python {name}", flush=True)
        status, closings[name] = run_pytest(python, arguments)
        if status:
            failed.append(f"pytest on Python {name}")
    if not arguments and shutil.which("npm"):
        newest = list(ready.values())[-1]
        failed += [f"node tests in {project.name}" for project in node_projects() if run_node(project, newest)]
    print()
    for problem in failed:
        print(f"failed: {problem}")
    for name, line in closings.items():
        print(f"Python {name}:\n{line}")
    lines = list(closings.values())
    broken = count(lines, "failed") + count(lines, "errors?")
    print(f"{count(lines, 'passed')} passed, {broken} failed, {count(lines, 'skipped')} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except subprocess.CalledProcessError as failure:
        print(f"setting up failed: {' '.join(map(str, failure.cmd))}", file=sys.stderr)
        sys.exit(1)
