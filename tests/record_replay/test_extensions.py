"""Programs that use C extensions and the C library: recorded, and replayed with every file they made gone.

A program names the packages it needs; the project's `dev` extra installs them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

SCOPE = str(Path(sys.executable).parent / "scope")
ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures" / "extensions"
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/root", "LANG": "C.UTF-8"}
CLOSING = ", 0 divergences\n"


@dataclass(frozen=True)
class Outcome:
    status: int
    stdout: str
    stderr: str


def run(*command: str, cwd: Path) -> Outcome:
    done = subprocess.run(
        command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=200, stdin=subprocess.DEVNULL,
        check=False,
    )  # fmt: skip
    return Outcome(done.returncode, done.stdout, done.stderr)


def packages(program: Path) -> set[str]:
    """The packages that a program says it needs, in its second line: `# needs: numpy`."""
    return {
        name
        for line in program.read_text().splitlines()[:4]
        if line.startswith("# needs: ")
        for name in line.removeprefix("# needs: ").split()
    }


def test_the_dev_extra_installs_what_the_programs_need() -> None:
    with open(ROOT / "pyproject.toml", "rb") as file:
        installed = tomllib.load(file)["project"]["optional-dependencies"]["dev"]
    assert not set().union(*map(packages, FIXTURES.glob("*.py"))) - set(installed)


@pytest.mark.parametrize("name", sorted(path.stem for path in FIXTURES.glob("*.py")))
def test_it_replays_exactly(name: str, tmp_path: Path) -> None:
    program = FIXTURES / f"{name}.py"
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(program, folder)
    recorded = run(SCOPE, "record", "-o", "../trace.db", program.name, cwd=folder)
    assert (recorded.status, recorded.stderr) == (0, "")
    assert recorded.stdout
    shutil.rmtree(folder)
    folder.mkdir()
    verified = run(SCOPE, "verify", "--output", "../trace.db", cwd=folder)
    assert verified.status == 0, verified.stderr
    replayed = (verified.stdout + verified.stderr).splitlines(keepends=True)
    assert replayed.pop().endswith(CLOSING)
    assert "".join(replayed) == recorded.stdout
    assert not os.listdir(folder)


# --- what is not recorded is said

STARTS_A_THREAD = """
import ctypes, time
libc = ctypes.CDLL(None)
name = ctypes.create_string_buffer(16)
print("before")

def starts():
    thread = ctypes.c_ulong()
    assert libc.pthread_create(ctypes.byref(thread), None, libc.pause, None) == 0

starts()
print("after")
"""


def test_a_thread_of_an_extension_is_noted_and_stops_the_replay_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(STARTS_A_THREAD)
    recorded = run(SCOPE, "record", "-o", "trace.db", "program.py", cwd=tmp_path)
    assert (recorded.status, recorded.stdout) == (0, "before\nafter\n")
    assert "an extension starts a thread of its own" in run(SCOPE, "info", "trace.db", cwd=tmp_path).stdout
    verified = run(SCOPE, "verify", "trace.db", cwd=tmp_path)
    assert verified.status == 3
    assert "an extension of the program starts a thread of its own" in verified.stderr
    stack = [line.strip().rpartition(", ")[2] for line in verified.stderr.splitlines() if "program.py" in line]
    assert stack == ["in <module>", "in starts"]


STARTS_A_CPP_THREAD = """
import pyarrow, pyarrow.feather
pyarrow.feather.write_feather(pyarrow.table({"a": [1, 2]}), "a.feather")
"""


def test_a_thread_of_cpp_is_told_by_the_library_that_made_it(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(STARTS_A_CPP_THREAD)
    assert run(SCOPE, "record", "-o", "trace.db", "program.py", cwd=tmp_path).status == 0
    assert "starts a thread of its own (libarrow.so" in run(SCOPE, "info", "trace.db", cwd=tmp_path).stdout
    verified = run(SCOPE, "verify", "trace.db", cwd=tmp_path)
    assert verified.status == 3
    assert "starts a thread of its own (libarrow.so" in verified.stderr


STARTS_A_PROCESS = """
import ctypes
libc = ctypes.CDLL(None)
print("before", flush=True)

def starts():
    if libc.fork() == 0:
        libc._exit(0)

starts()
print("after", libc.getpid() > 0)
"""

READS_FROM_A_PROCESS = """
import ctypes
libc = ctypes.CDLL(None)
libc.popen.restype = ctypes.c_void_p
print("before", flush=True)

def starts():
    libc.pclose(ctypes.c_void_p(libc.popen(b"true", b"r")))

starts()
print("after", libc.getpid() > 0)
"""


@pytest.mark.parametrize("text", [STARTS_A_PROCESS, READS_FROM_A_PROCESS], ids=["fork", "popen"])
def test_a_process_of_an_extension_is_noted_and_stops_the_replay_in_one_sentence(text: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(text)
    recorded = run(SCOPE, "record", "-o", "trace.db", "program.py", cwd=tmp_path)
    assert (recorded.status, recorded.stdout) == (0, "before\nafter True\n")
    assert "an extension starts a process of its own" in run(SCOPE, "info", "trace.db", cwd=tmp_path).stdout
    verified = run(SCOPE, "verify", "trace.db", cwd=tmp_path)
    assert verified.status == 3
    assert "an extension of the program starts a process of its own" in verified.stderr


def test_more_threads_for_numbers_are_noted(tmp_path: Path) -> None:
    command = ("env", "OMP_NUM_THREADS=2", SCOPE, "record", "-o", "trace.db", "-c", "import numpy; print(1)")
    assert run(*command, cwd=tmp_path).status == 0
    assert "OMP_NUM_THREADS=2: replay computes in one thread" in run(SCOPE, "info", "trace.db", cwd=tmp_path).stdout
    assert run(SCOPE, "verify", "trace.db", cwd=tmp_path).status == 0


# --- boundary files that packages ship

PLUGIN = """
from retroscope.recorder.boundary.declare import PASS, RESULT, Module

MODULES = [Module("lmdb.cpython", functions=PASS, special={"version": RESULT})]
"""


def test_an_extension_nobody_lists_is_noted_once(tmp_path: Path) -> None:
    assert run(SCOPE, "record", "-o", "trace.db", "-c", "import lmdb; print(lmdb.version())", cwd=tmp_path).status == 0
    assert run(SCOPE, "info", "trace.db", cwd=tmp_path).stdout.count("extension lmdb.cpython is not listed") == 1


@pytest.mark.parametrize("text", [PLUGIN, "no Python"], ids=["good", "broken"])
def test_a_package_ships_a_boundary_file(text: str, tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "something-1.0.dist-info").mkdir(parents=True)
    entries = "[console_scripts]\nx = y:z\n\n[retroscope.boundary]\nlmdb = lmdb_boundary\n"
    (site / "something-1.0.dist-info" / "entry_points.txt").write_text(entries)
    (site / "lmdb_boundary.py").write_text(text)
    program = "import lmdb; print(lmdb.version())"
    command = ("env", f"PYTHONPATH={site}", SCOPE, "record", "-o", "trace.db", "-c", program)
    recorded = run(*command, cwd=tmp_path)
    assert recorded.status == 0
    shutil.rmtree(site)
    verified = run(SCOPE, "verify", "--output", "trace.db", cwd=tmp_path)
    assert (verified.status, verified.stdout.splitlines()[:1]) == (0, recorded.stdout.splitlines())
    events = run(SCOPE, "events", "trace.db", cwd=tmp_path).stdout.splitlines()
    calls = [line for line in events if ".version  " in line]
    notes = run(SCOPE, "info", "trace.db", cwd=tmp_path).stdout
    assert (len(calls), "is not listed" in notes) == ((1, False) if text == PLUGIN else (0, True))
    assert ("cannot be used: SyntaxError" in notes) == (text != PLUGIN)
