"""Builds the C core with AddressSanitizer and UBSan and runs the tests that exercise it; Linux with gcc or clang.

In: `--python 3.12` (default: the highest version found), then paths or options for pytest (default: the rooms that call
the core directly). Out: pytest's exit status. Leaks are not looked for: the interpreter itself keeps memory to its end.
pymalloc is off, so that every object is checked.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import environments

ROOT = environments.ROOT
DEFAULT_TESTS = ("tests/trace", "tests/recorder", "tests/replay", "tests/native", "tests/record_replay")
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
    tests = arguments or [path for path in DEFAULT_TESTS if (ROOT / path).exists()]
    print(f"pytest on Python {version} with sanitizers", flush=True)
    return subprocess.run([str(python), "-m", "pytest", *tests], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
