"""Programs whose memory runs out: replay lets the same allocation fail, or says that it cannot, and takes no more."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from retroscope.replay import launch
from retroscope.replay.moments import ReplayError
from retroscope.replay.recording import Recording
from retroscope.replay.timeline import Timeline

from tests.replay.conftest import SCOPE, Recorded

LIMIT = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (500 << 20, resource.RLIM_INFINITY))\n"
FILL = LIMIT + """
kept = []
try:
    while True:
        kept.append({})
except MemoryError:
    number = len(kept)
    del kept
print("none left after", number)
"""
AT_ONCE = {
    "one": "try:\n    print(len(bytearray(1 << 62)))\nexcept MemoryError:\n    print('none left')\n",
    "blocks": FILL.format("bytearray(10 << 20)"),
    "texts": FILL.format("'x%d' % len(kept) * 1000"),
    "kibibytes": FILL.format("bytes(1024)"),
    "again": FILL.format("bytearray(3 << 20)") * 2 + FILL.format("[0] * len(kept) * 1000"),
    "doubling": LIMIT + "text = 'none left'\nwhile True:\n    text += text\n",
    "one object": LIMIT + "print(len(list(range(10 ** 9))))\n",
    "numbers": FILL.replace("append({})", "extend([None] * 10000)"),
}
MEASURED = """\
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stderr=subprocess.PIPE, text=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10)
sys.stderr.write(done.stderr)
sys.exit(done.returncode)
"""


EXTENSION = """
#include <Python.h>
#include <stdlib.h>
static PyObject *take(PyObject *self, PyObject *size)
{
    char *memory = malloc(PyLong_AsSize_t(size));
    if (!memory)
        return PyErr_NoMemory();
    memset(memory, 1, PyLong_AsSize_t(size));
    return PyLong_FromVoidPtr(memory);
}
static PyMethodDef functions[] = {{"take", take, METH_O, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "taking", "", 0, functions};
PyMODINIT_FUNC PyInit_taking(void) { return PyModuleDef_Init(&module); }
"""


def verified(trace: Path) -> tuple[int, str, int]:
    """Exit status and messages of `scope verify`, and MiB that the largest of its processes had in memory."""
    command = [sys.executable, "-c", MEASURED, SCOPE, "verify", str(trace)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    return done.returncode, done.stderr, int(done.stdout.split()[-1])


@pytest.mark.parametrize("name", AT_ONCE)
def test_the_same_allocation_fails(tmp_path: Path, name: str) -> None:
    (tmp_path / "program.py").write_text(AT_ONCE[name])
    recorded = subprocess.run([SCOPE, "record", "-q", "program.py"], cwd=tmp_path, capture_output=True, check=False)
    replayed = subprocess.run([SCOPE, "verify", "--output"], cwd=tmp_path, capture_output=True, check=False)
    assert (replayed.returncode, replayed.stdout) == (0, recorded.stdout), replayed.stderr
    assert recorded.stderr in replayed.stderr
    assert b"none left" in recorded.stdout or b"\nMemoryError\n" in recorded.stderr


def test_what_an_extension_asks_the_c_library_for(tmp_path: Path) -> None:
    source, made = tmp_path / "taking.c", tmp_path / f"taking{sysconfig.get_config_var('EXT_SUFFIX')}"
    source.write_text(EXTENSION)
    compiler, includes = os.environ.get("CC", "cc"), f"-I{sysconfig.get_path('include')}"
    subprocess.run([compiler, "-shared", "-fPIC", includes, str(source), "-o", str(made)], check=True)
    (tmp_path / "program.py").write_text("import taking\n" + FILL.format("bool(taking.take(3 << 20))"))
    recorded = subprocess.run([SCOPE, "record", "-q", "program.py"], cwd=tmp_path, capture_output=True, check=False)
    assert recorded.stdout.startswith(b"none left after "), recorded.stderr
    replayed = subprocess.run([SCOPE, "verify", "--output"], cwd=tmp_path, capture_output=True, check=False)
    assert (replayed.returncode, replayed.stdout) == (0, recorded.stdout), replayed.stderr


def test_under_a_limit_that_is_inherited(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(FILL.format("bytearray(3 << 20)").replace(LIMIT, ""))
    command = ["sh", "-c", f"ulimit -v 700000; exec {SCOPE} record program.py"]
    recorded = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    assert recorded.stdout.startswith(b"none left after ")
    replayed = subprocess.run([SCOPE, "verify", "--output"], cwd=tmp_path, capture_output=True, check=False)
    assert (replayed.returncode, replayed.stdout) == (0, recorded.stdout), replayed.stderr


def test_which_of_the_smallest_objects_failed_nobody_knows(record_text: Recorded) -> None:
    _, trace = record_text(LIMIT + "chain = None\nwhile True:\n    chain = [chain]\n")
    status, said, mebibytes = verified(trace)
    assert status == 3
    assert "The recording ends to be exact at input" in said
    assert "memory ran out, in an allocation of " in said
    assert mebibytes < 500 + 400


def test_behind_the_last_input_of_a_killed_program_memory_does_not_grow_and_grow(record_text: Recorded) -> None:
    _, trace = record_text(
        "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (1, 1))\n"  # it is killed after a second
        "kept = []\nwhile True:\n    kept.append(bytes([sum(range(300000)) % 2 + 1]) * (1 << 20))\n"
    )
    recording = Recording(str(trace))
    recorded = recording.most_memory >> 20
    recording.close()
    assert recorded > 50
    status, said, mebibytes = verified(trace)
    assert (status, "killed by signal 9" in said) == (0, True), said
    assert mebibytes < max(recorded, 257) + 400


def test_what_the_machine_has_to_spare_is_not_exceeded(record_text: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "spare_memory", lambda: 10)  # then 257 MiB are allowed
    _, trace = record_text("kept = [bytes([number % 255 + 1]) * (1 << 17) for number in range(4000)]\nprint(7)\n")
    with Timeline.open(trace) as timeline, pytest.raises(ReplayError, match="this machine has no more to spare"):
        timeline.outcome()
