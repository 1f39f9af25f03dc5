"""Finds every CPython that Retroscope supports and makes a virtual environment with Retroscope for each.

In: this machine's PATH and pyenv's versions. Out: `.venv/3.11`, `.venv/3.12`, `.venv/3.13` (those that could be made),
each with the working tree installed in editable mode. An environment is installed again only when the C sources or
the packaging changed. Runs on any Python from 3.8, because it is what `make` starts first.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUPPORTED = ((3, 11), (3, 12), (3, 13))
IDENTIFY = "import platform, sys; print(platform.python_implementation(), *sys.version_info[:3])"


def candidates() -> list[str]:
    """Everything that may be a supported interpreter, by path; some may not run."""
    names = [f"python{major}.{minor}" for major, minor in SUPPORTED] + ["python3", "python"]
    found = [path for path in map(shutil.which, names) if path]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found += [str(path) for path in sorted(pyenv.glob("versions/3.*/bin/python"))]
    return found


def identify(executable: str) -> tuple[int, int, int] | None:
    """The version of a CPython; None when it is not one or does not run (a pyenv shim of an absent version)."""
    answer = subprocess.run(
        [executable, "-I", "-c", IDENTIFY], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False
    )
    fields = answer.stdout.split()
    if answer.returncode != 0 or len(fields) != 4 or fields[0] != "CPython":
        return None
    return int(fields[1]), int(fields[2]), int(fields[3])


def interpreters() -> dict[str, str]:
    """`3.11` → the executable with the highest patch version, for each supported version found."""
    best: dict[str, tuple[tuple[int, int, int], str]] = {}
    for executable in candidates():
        version = identify(executable)
        if version is None or version[:2] not in SUPPORTED:
            continue
        name = f"{version[0]}.{version[1]}"
        if name not in best or version > best[name][0]:
            best[name] = (version, executable)
    return {name: executable for name, (_, executable) in sorted(best.items())}


def fingerprint(settings: list[str]) -> str:
    """Changes when an environment must be installed again."""
    digest = hashlib.blake2b(digest_size=16)
    core = ROOT / "recorder" / "native-core"
    for path in [ROOT / "pyproject.toml", ROOT / "CMakeLists.txt", *sorted(core.glob("*.[ch]"))]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    digest.update(repr([str(ROOT), settings]).encode())
    return digest.hexdigest()


def prepare(name: str, executable: str, settings: list[str], extras: str = "[dev]") -> Path:
    """Makes or refreshes the environment `name`; returns its Python. `settings` go to the build (`-C…`)."""
    home = ROOT / ".venv" / name
    python = home / "bin" / "python"
    stamp = home / "installed.txt"
    wanted = fingerprint([executable, extras, *settings])
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"setting up .venv/{name} ({executable})\n", end="", file=sys.stderr, flush=True)
    if not python.exists():
        subprocess.run([executable, "-m", "venv", "--clear", str(home)], check=True)
    quiet = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*quiet, *settings, "--editable", f"{ROOT}{extras}"], check=True)
    stamp.write_text(wanted)
    return python


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


def prepare_all(pythons: dict[str, str]) -> dict[str, Path]:
    """An environment for testing with each of these interpreters, by version; they are made side by side.

    That of the tools serves as well where it is of the same interpreter.
    """
    tools = ROOT / ".venv" / "tools"

    def ready(version: str) -> Path:
        stamp = tools / "installed.txt"
        if stamp.exists() and stamp.read_text() == fingerprint([pythons[version], "[dev]"]):
            return tools / "bin" / "python"
        return prepare(version, pythons[version], [])

    with ThreadPoolExecutor(processors()) as side_by_side:
        return dict(zip(pythons, side_by_side.map(ready, pythons)))


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the virtual environments that the Makefile's targets use.")
    parser.add_argument("--all", action="store_true", help="one for every supported Python found, not just the first")
    parser.add_argument("--name", help="the environment's name, instead of the Python's version")
    parser.add_argument("--bare", action="store_true", help="without the tools for developing")
    parser.add_argument("settings", nargs="*", help="build settings handed to pip, each beginning with -C")
    options = parser.parse_args()
    found = interpreters()
    if not found:
        print("no CPython 3.11, 3.12 or 3.13 was found on PATH or among pyenv's versions", file=sys.stderr)
        return 1
    if not options.all:
        found = dict(list(found.items())[:1])
    for version, executable in found.items():
        print(prepare(options.name or version, executable, options.settings, "" if options.bare else "[dev]"))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as failure:
        print(f"setting up failed: {' '.join(map(str, failure.cmd))}", file=sys.stderr)
        sys.exit(1)
