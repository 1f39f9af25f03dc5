"""Finding the Python that recorded a trace: replay runs the same bytecode, so it must be the same build."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

from retroscope.replay.moments import ReplayError
from retroscope.replay.recording import Start

_ASK = "import sys; print(sys.hexversion); print(sys.version)"


class WrongInterpreter(ReplayError):
    """No Python on this machine can replay the trace."""

    status = 4


def find_interpreter(start: Start, trace: str) -> str:
    """The path of an interpreter whose version is exactly the recorded one."""
    near: str | None = None
    for candidate in _candidates(start):
        answer = _version_of(candidate)
        if answer is None:
            continue
        if answer == (start.hexversion, start.version):
            return candidate
        near = near or f"{candidate} is {answer[1].split()[0]} ({_build(answer[1])})"
    asked = f"Python {start.version.split()[0] or start.minor} ({_build(start.version)})"
    found = f"; {near}" if near else ""
    raise WrongInterpreter(f"{trace} was recorded by {asked} and needs the same to be replayed{found}")


_PYTHON = re.compile(r"/(.*/)?python[0-9.]*")


def _candidates(start: Start) -> Iterator[str]:
    """The recorded one first; a trace is not believed when it names something that is no Python."""
    recorded = start.executable if _PYTHON.fullmatch(start.executable) else ""
    seen = set()
    for name in (recorded, f"python{start.minor}", sys.executable, "python3"):
        path = shutil.which(name) if name else None
        if path and path not in seen:
            seen.add(path)
            yield path


def _version_of(executable: str) -> tuple[int, str] | None:
    """(hexversion, version), None when it cannot be run."""
    if os.path.samefile(executable, sys.executable):
        return sys.hexversion, sys.version
    try:
        answer = subprocess.run([executable, "-I", "-S", "-c", _ASK], capture_output=True, timeout=20, check=True)
        number, _, version = answer.stdout.decode().partition("\n")
        return int(number), version.removesuffix("\n")
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def _build(version: str) -> str:
    """The part of sys.version that tells one build from another."""
    return version.partition("(")[2].partition(")")[0] or "unknown build"
