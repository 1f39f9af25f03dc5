"""Replays that truly differ from their recordings: what is said about them, and what `--diagnose` finds."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.replay.conftest import SCOPE

QUICK = """
#include <Python.h>
static PyObject *now(PyObject *self, PyObject *none)
{
    unsigned long long count; /* the processor's own clock: no call is made for it */
#if defined(__x86_64__)
    unsigned low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    count = (unsigned long long)high << 32 | low;
#else
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(count));
#endif
    return PyLong_FromUnsignedLongLong(count);
}
static PyMethodDef functions[] = {{"now", now, METH_NOARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "quick", "", 0, functions};
PyMODINIT_FUNC PyInit_quick(void) { return PyModuleDef_Init(&module); }
"""
EXTENSION = """\
import time
import quick

def work():
    started = time.time()
    seen = quick.now()
    print("seen", seen)
    return started

work()
"""
DEEP = """\
import quick

def odd():
    seen = quick.now() // 1024
    return bool(seen % 2)

answers = [odd() for _ in range(80)]
print(answers)
"""
SPINNING = """\
import mmap, os, time
shared = mmap.mmap(-1, 4096)
if os.fork() == 0:
    time.sleep(0.01)
    shared[0] = 1
    os._exit(0)
rounds = 0
while not shared[0]:
    rounds += 1
os.wait()
"""
FORKED = "import os\nimport quick\nif os.fork() == 0:\n    print(quick.now(), flush=True)\n    os._exit(0)\nos.wait()\n"
ADDRESS = "import ctypes\nkept = b'here'\nprint(ctypes.string_at(id(kept) + 32, 4))\n"


def scope(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCOPE, *map(str, words)], capture_output=True, text=True, cwd=cwd, check=False, timeout=120)


def record(code: str, folder: Path) -> None:
    (folder / "program.py").write_text(code)
    done = scope("record", "-q", "program.py", cwd=folder)
    assert done.returncode == 0, done.stderr


def make_extension(folder: Path) -> Path:
    source, made = folder / "quick.c", folder / f"quick{sysconfig.get_config_var('EXT_SUFFIX')}"
    source.write_text(QUICK)
    compiler = os.environ.get("CC", "cc")
    includes = f"-I{sysconfig.get_path('include')}"
    subprocess.run([compiler, "-shared", "-fPIC", includes, str(source), "-o", str(made)], check=True)
    return made


def test_an_extension_that_reads_a_clock(tmp_path: Path) -> None:
    make_extension(tmp_path)
    record(EXTENSION, tmp_path)
    plain = scope("verify", cwd=tmp_path)
    assert (plain.returncode, plain.stdout) == (3, "")
    assert "the program called _io.FileIO.write as recorded, but with other arguments" in plain.stderr
    assert f"{tmp_path}/program.py:7 in work" in plain.stderr
    assert "Likely cause: extension quick is not listed" in plain.stderr
    assert plain.stderr.endswith("To find the first line that differs: scope verify --diagnose trace.db\n")
    found = scope("verify", "--diagnose", cwd=tmp_path)
    assert found.returncode == 3
    assert f"The line run just before, the first that differs: {tmp_path}/program.py:6 in work: seen = quick.now()" in (
        found.stderr
    )
    shown = [line for line in found.stderr.splitlines() if line.startswith("  seen is ")]
    assert len(shown) == 1, found.stderr


def test_a_changed_extension_is_named(tmp_path: Path) -> None:
    made = make_extension(tmp_path)
    record(EXTENSION, tmp_path)
    os.utime(made)
    assert f"Likely cause: the extension {made} has changed since the recording" in scope("verify", cwd=tmp_path).stderr


def test_the_line_is_found_deep_in_the_program(tmp_path: Path) -> None:
    make_extension(tmp_path)
    record(DEEP, tmp_path)
    found = scope("verify", "--diagnose", cwd=tmp_path)
    assert found.returncode == 3, found.stderr
    assert "Two replays of this recording differ from tick" in found.stderr
    assert "program.py:4 in odd: seen = quick.now() // 1024" in found.stderr


def test_replays_that_agree_with_each_other_show_the_lines_since_the_last_input(tmp_path: Path) -> None:
    record(ADDRESS, tmp_path)
    found = scope("verify", "--diagnose", cwd=tmp_path)
    assert found.returncode == 3, found.stdout
    assert "so the replay is repeatable" in found.stderr
    assert "(builtins.id), the last that agreed" in found.stderr
    assert "program.py:3 in <module>: print(ctypes.string_at(id(kept) + 32, 4))" in found.stderr


def test_of_a_forked_process_another_way_is_named(tmp_path: Path) -> None:
    make_extension(tmp_path)
    record(FORKED, tmp_path)
    for words in (["verify"], ["verify", "--diagnose"]):
        found = scope(*words, cwd=tmp_path)
        assert (found.returncode, found.stdout) == (3, "")
        assert found.stderr.endswith(
            "It was forked, and --diagnose cannot narrow that. To look: scope replay --process 2 trace.db\n"
        )
    looked = scope("replay", "--process", "2", "trace.db", "-x", "continue", cwd=tmp_path)
    assert looked.returncode == 3, looked.stdout


def test_where_nothing_differs_there_is_nothing_to_diagnose(tmp_path: Path) -> None:
    record("import time\nprint(time.time())\n", tmp_path)
    done = scope("verify", "--diagnose", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_id_that_ctypes_takes_for_an_address_is_named_as_the_cause(tmp_path: Path) -> None:
    record("import ctypes\nx = [1]\nprint(ctypes.cast(id(x), ctypes.py_object).value)\n", tmp_path)
    verified = scope("verify", "trace.db", cwd=tmp_path)
    assert verified.returncode == 3
    assert "Likely cause: the program uses ctypes and id(): where it takes an id for the address" in verified.stderr


def test_a_loop_that_only_reads_shared_memory_does_not_keep_a_replay_for_ever(tmp_path: Path) -> None:
    record(SPINNING, tmp_path)
    assert "read before the next input, it is not what replay shows" in scope("info", cwd=tmp_path).stdout
    verified = scope("verify", "trace.db", cwd=tmp_path)
    assert verified.returncode == 3
    assert "It seems to wait in a loop for what another process writes into shared memory" in verified.stderr


def test_how_many_objects_there_are_is_exact_or_named_as_the_cause(tmp_path: Path) -> None:
    record("import gc\nprint(len(gc.get_objects()))\n", tmp_path)
    noted = "the program lists all objects (gc.get_objects)" in scope("info", "trace.db", cwd=tmp_path).stdout
    assert noted == (sys.version_info < (3, 12))
    verified = scope("verify", "trace.db", cwd=tmp_path)
    assert verified.returncode == (3 if "Likely cause: the program lists all objects" in verified.stderr else 0)
    assert verified.returncode == 0 or noted


def test_at_the_prompt_it_is_said_once_with_its_cause(tmp_path: Path) -> None:
    make_extension(tmp_path)
    record(EXTENSION, tmp_path)
    done = scope("replay", "-x", "continue", "-x", "where", cwd=tmp_path)
    assert done.returncode == 3
    assert done.stdout.count("in work\n") == 2, done.stdout  # the place, and one stack
    assert "diverged · tick" in done.stdout
    assert "Likely cause: extension quick is not listed" in done.stdout
    assert done.stderr == (
        "scope: the replay does not do what the recording did; nothing after this tick can be trusted\n"
    )
