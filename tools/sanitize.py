"""Builds the C core with AddressSanitizer and UBSan and runs the tests that exercise it; Linux with gcc or clang.

In: `--python 3.12` (default: the highest version found), then paths or options for pytest (default: the rooms that call
the core directly). Out: pytest's exit status. Leaks are not looked for: the interpreter itself keeps memory to its end.
pymalloc is off, so that every object is checked. What no program can do under a sanitizer is in LEFT_OUT.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import environments

ROOT = environments.ROOT
DEFAULT_TESTS = ("tests/trace", "tests/recorder", "tests/replay", "tests/native", "tests/record_replay")
LEFT_OUT = {
    "tests/replay/test_last_write.py": "its memory is not given out at the same addresses again",
    "tests/replay/test_reborn.py::test_an_object_at_the_place_of_a_dead_one_has_attributes_of_its_own":
        "its memory is not given out at the same addresses again",
    "tests/replay/test_divergence.py::test_memory_that_ran_out_by_a_limit_is_named_as_the_cause": "it takes terabytes",
    "tests/replay/test_divergence.py::test_a_limit_of_memory_that_is_inherited_is_told_of_too": "it takes terabytes",
    "tests/recorder/test_drain.py::test_short_programs_end_at_once": "the time it takes is measured",
    "tests/replay/test_clock.py::test_at_the_prompt": "the time it takes is measured",
    "tests/record_replay/test_output_order.py": "`preload` makes sys.executable another program than this Python",
    "tests/record_replay/test_processes.py::test_all_processes_do_what_plain_python_does_and_replay_it[processes_programs]":
        "`preload` makes sys.executable another program than this Python",
    "tests/record_replay/test_extensions.py::test_it_replays_exactly[uvloop_streams]": "it warns on stderr",
    "tests/record_replay/test_extensions.py::test_it_replays_exactly[workers_computing]": "it warns on stderr",
}  # fmt: skip
"""Tests that are not run by default, and why."""
ASAN_OPTIONS = (
    "detect_leaks=0",
    "detect_stack_use_after_return=0",
    "abort_on_error=1",
    "allocator_may_return_null=1",
    "handle_segv=0",  # programs that crash on purpose must die as they do without us
)


def runtime(library: str) -> str:
    """The path of a sanitizer's runtime library, as the compiler knows it."""
    command = ["cc", f"-print-file-name={library}"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def preload(python: Path, executable: str) -> None:
    """Replaces the environment's `python` by a program that preloads the sanitizers and becomes `executable`.

    The interpreters of replay are started with an environment of their own, so a variable of ours would not reach them.
    A shell would do, but shells reorder the environment, and that is tested.
    """
    variables = {
        "LD_PRELOAD": f"{runtime('libasan.so')} {runtime('libubsan.so')}",
        "ASAN_OPTIONS": ":".join(ASAN_OPTIONS),
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        "PYTHONMALLOC": "malloc",
    }
    settings = "".join(f'    setenv("{name}", "{value}", 0);\n' for name, value in variables.items())
    source = f"""#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv)
{{
    (void)argc;
{settings}    execv("{executable}", argv);
    return 127;
}}
"""
    python.unlink()
    subprocess.run(["cc", "-x", "c", "-o", str(python), "-"], input=source, text=True, check=True)


def main(arguments: list[str]) -> int:
    found = environments.interpreters()
    if not found:
        print("no CPython 3.11, 3.12 or 3.13 was found on PATH or among pyenv's versions", file=sys.stderr)
        return 1
    version = list(found)[-1]
    if arguments[:1] == ["--python"]:
        version, arguments = arguments[1], arguments[2:]
    executable = found[version]
    python = environments.prepare("asan", executable, ["-Ccmake.define.RETROSCOPE_SANITIZE=ON"])
    preload(python, executable)
    tests = arguments or [*DEFAULT_TESTS, *(f"--deselect={name}" for name in LEFT_OUT)]
    print(f"pytest on Python {version} with sanitizers", flush=True)
    return subprocess.run([str(python), "-m", "pytest", *tests], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
