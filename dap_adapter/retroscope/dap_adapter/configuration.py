"""What a user writes in a launch configuration, checked.

Every attribute read here is described in docs/dap.md and in the manifest of the VS Code extension; a test compares
the three.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from retroscope.dap_adapter.arguments import Arguments, boolean, integer, strings, text
from retroscope.dap_adapter.failure import RequestFailed

LAUNCH_ATTRIBUTES = (
    "program",
    "module",
    "code",
    "args",
    "cwd",
    "env",
    "python",
    "trace",
    "stopAt",
    "justMyCode",
    "showSecrets",
)
ATTACH_ATTRIBUTES = ("trace", "process", "stopAt", "justMyCode", "showSecrets")


class StopAt(Enum):
    """Where a session begins."""

    FAILURE = "failure"  # where the uncaught exception was raised; at the entry when there was none
    ENTRY = "entry"
    END = "end"


@dataclass(frozen=True)
class View:
    """What launch and attach have in common: where to stop first, and what to step over, and what to show."""

    stop_at: StopAt
    just_my_code: bool
    show_secrets: bool


@dataclass(frozen=True)
class Launch:
    """A program to record. `target` is what follows `scope record`'s options: PROGRAM, -m MODULE or -c CODE."""

    target: tuple[str, ...]
    name: str  # what the user calls the program, for messages and file names
    cwd: Path
    env: Mapping[str, str | None]  # changes to the adapter's own environment; None removes a variable
    python: str
    trace: Path | None  # None: a new file in the temporary folder
    without_debugging: bool  # the protocol's noDebug: run it, record nothing
    view: View


@dataclass(frozen=True)
class Attach:
    """A recording to open. `process`: the number of the process in it, as `scope info` tells; 0: the first."""

    trace: Path
    process: int
    view: View


def read_launch(arguments: Arguments) -> Launch:
    cwd = _folder(arguments)
    target, name = _target(arguments, cwd)
    return Launch(
        target=(*target, *strings(arguments, "args")),
        name=name,
        cwd=cwd,
        env=_environment(arguments),
        python=_interpreter(arguments, cwd),
        trace=cwd / text(arguments, "trace") if arguments.get("trace") else None,
        without_debugging=boolean(arguments, "noDebug", False),
        view=_view(arguments),
    )


def read_attach(arguments: Arguments) -> Attach:
    trace = Path(text(arguments, "trace")).expanduser() if arguments.get("trace") else None
    if trace is None:
        raise RequestFailed("'trace' is missing: give the path of the recording to open", show_user=True)
    if not trace.is_file():
        raise RequestFailed(f"there is no recording at {trace}", show_user=True)
    return Attach(trace, integer(arguments, "process", 0), _view(arguments))


def _target(arguments: Arguments, cwd: Path) -> tuple[tuple[str, ...], str]:
    given = [name for name in ("program", "module", "code") if arguments.get(name)]
    if len(given) != 1:
        how_many = "nothing to run" if not given else " and ".join(f"'{name}'" for name in given) + " together"
        raise RequestFailed(f"{how_many}: give one of 'program', 'module' and 'code'", show_user=True)
    if given == ["module"]:
        module = text(arguments, "module")
        return ("-m", module), module
    if given == ["code"]:
        return ("-c", _code(arguments)), "code"
    program = cwd / Path(text(arguments, "program")).expanduser()
    if not program.exists():
        raise RequestFailed(f"there is no program at {program}", show_user=True)
    return (str(program),), program.name


def _code(arguments: Arguments) -> str:
    code = arguments["code"]
    return "\n".join(strings(arguments, "code")) if isinstance(code, list) else text(arguments, "code")


def _folder(arguments: Arguments) -> Path:
    cwd = Path(text(arguments, "cwd", "")).expanduser().absolute()
    if not cwd.is_dir():
        raise RequestFailed(f"the working directory {cwd} does not exist", show_user=True)
    return cwd


def _interpreter(arguments: Arguments, cwd: Path) -> str:
    named = text(arguments, "python", "")
    if not named:
        return sys.executable
    found = shutil.which(Path(named).expanduser(), path=None) or shutil.which(cwd / named)
    if found is None:
        raise RequestFailed(f"there is no Python interpreter at {named}", show_user=True)
    return found


def _environment(arguments: Arguments) -> dict[str, str | None]:
    env: Any = arguments.get("env") or {}
    if not isinstance(env, dict) or not all(value is None or isinstance(value, str) for value in env.values()):
        raise RequestFailed("'env' must map names to strings, or to null to remove a variable", show_user=True)
    return dict(env)


def _view(arguments: Arguments) -> View:
    named = text(arguments, "stopAt", StopAt.FAILURE.value)
    try:
        stop_at = StopAt(named)
    except ValueError:
        choices = ", ".join(choice.value for choice in StopAt)
        raise RequestFailed(f"'stopAt' is one of {choices}, not {named!r}", show_user=True) from None
    return View(stop_at, boolean(arguments, "justMyCode", True), boolean(arguments, "showSecrets", False))
