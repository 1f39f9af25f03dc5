"""Starts the user's interpreter with the recorder inside: its command line, environment, ring and configuration.

The configuration's keys are described in docs/architecture.md, "The configuration".
"""

from __future__ import annotations

import marshal
import os
import struct
import sys
from fcntl import F_DUPFD, fcntl

from retroscope.recorder.command_lines import own_flags, passed_on
from retroscope.trace.redaction import Redaction

RING_BYTES = (1 << 24, 1 << 22, 1 << 20)  # smaller ones where a limit on file sizes (ulimit -f) holds for memory too
SMALL_RING_BYTES = (1 << 22, 1 << 20)  # of further processes: there may be hundreds
_RING_HEADER = 4096
_PROCESS_AT, _DOOR_AT = 152, 1024
_COERCED = ("C.UTF-8", "C.utf8", "UTF-8")  # what CPython puts into LC_CTYPE in the C locale (PEP 538)
_SIGPIPE, _SIGXFSZ = 13, 25  # ignored by every Python; the program must find them as the shell left them


def make_ring(door: bytes = b"", process: int = 1, sizes: tuple[int, ...] = RING_BYTES) -> int:
    """A memfd with an empty ring (docs/architecture.md, Seam 1) for the process with this number in the trace.

    `door`: the name of the socket where further processes get theirs; empty: nowhere.
    """
    descriptor = _memory_file("retroscope-ring")
    for size in sizes:
        try:
            os.ftruncate(descriptor, _RING_HEADER + size)
        except OSError:
            if size == sizes[-1]:
                os.close(descriptor)
                raise
        else:
            os.pwrite(descriptor, b"RSCPRNG1" + struct.pack("<Q", size), 0)
            os.pwrite(descriptor, struct.pack("<Q", process), _PROCESS_AT)
            os.pwrite(descriptor, door, _DOOR_AT)
            break
    return descriptor


def _memory_file(name: str) -> int:
    """To be inherited. Not one of the standard streams, even where these are closed: the program finds them so."""
    descriptor = os.memfd_create(name, 0)
    if descriptor > 2:
        return descriptor
    try:
        return fcntl(descriptor, F_DUPFD, 3)
    finally:
        os.close(descriptor)


def _given(name: str) -> str:
    """The variable as this process was started with it, "" if it was not there: the interpreter may have set it since.

    For LC_CTYPE, empty and absent mean the same, and the program's interpreter will set it as ours did.
    """
    with open("/proc/self/environ", "rb") as file:
        for item in file.read().split(b"\0"):
            key, _, value = item.partition(b"=")
            if key == name.encode():
                return os.fsdecode(value)
    return ""


def _redaction(patterns: tuple[str, ...]) -> Redaction:
    """Of the environment variables with such names (shell patterns)."""
    from fnmatch import fnmatchcase

    return Redaction(
        {
            name: os.fsencode(value)
            for name, value in os.environ.items()
            if any(fnmatchcase(name, pattern) for pattern in patterns)
        }
    )


def _file(descriptor: int) -> tuple[int, int] | None:
    """Which file a descriptor is of."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return (status.st_dev, status.st_ino)


class Launch:
    """One start of a program: everything that is decided before its interpreter runs."""

    def __init__(
        self, kind: str, target: str, args: list[str], *, chaos: int | None, redact: tuple[str, ...] = ()
    ) -> None:
        if not sys.executable:
            raise OSError("the path of this Python interpreter is not known (sys.executable is empty)")
        self.kind = kind
        self.target = target
        self.args = args
        self.chaos = chaos
        self.redaction = _redaction(redact) if redact else None
        self.cwd = os.getcwd()
        self.flags = own_flags(sys.orig_argv)
        self.user_seed = os.environ.get("PYTHONHASHSEED")
        self.seed = self._seed()

    @property
    def shown(self) -> str:
        """The program, for messages."""
        return {"module": f"-m {self.target}", "code": "-c …"}.get(self.kind, self.target)

    def _seed(self) -> int:
        if self.user_seed not in (None, "", "random") and not sys.flags.ignore_environment:
            assert self.user_seed is not None
            return int(self.user_seed) if self.user_seed.isdecimal() else 0
        return int.from_bytes(os.urandom(4), "little") or 1

    def program(self) -> list[str]:
        """The words after the interpreter's flags, as plain Python would get them."""
        option = {"module": ["-m"], "code": ["-c"]}.get(self.kind, [])
        return [*option, self.target, *self.args]

    def configuration(self) -> dict[str, object]:
        from retroscope.recorder import _core

        hidden = {}
        if sys.flags.ignore_environment:
            hidden = {name: value for name, value in os.environ.items() if name.startswith("PYTHON")}
        return {
            "mode": "record",
            "kind": self.kind,
            "target": self.target,
            "args": self.args,
            "flags": self.flags,
            "environ_hashseed": self.user_seed,
            "environ_hidden": hidden,
            "executable": sys.executable,
            "orig_argv": [sys.executable, *self.flags, *self.program()],
            "seed": self.seed,
            "cwd": self.cwd,
            "chaos": self.chaos,
            "secrets": self.redaction.secrets if self.redaction else (),
            "isolated": bool(sys.flags.isolated),
            "ignore_environment": bool(sys.flags.ignore_environment),
            "no_site": bool(sys.flags.no_site),
            "no_user_site": bool(sys.flags.no_user_site),
            "safe_path": bool(sys.flags.safe_path),
            "core": _core.__file__,
        }

    def environment(self) -> dict[str, str]:
        """The user's, with the hash seed pinned, and without what the user's -E or -I hides from Python."""
        environment = dict(os.environ)
        if os.environ.get("LC_CTYPE") in _COERCED:
            environment["LC_CTYPE"] = _given("LC_CTYPE")
        if sys.flags.ignore_environment:
            environment = {name: value for name, value in environment.items() if not name.startswith("PYTHON")}
        if sys.flags.ignore_environment or self.user_seed in (None, "", "random"):
            environment["PYTHONHASHSEED"] = str(self.seed)
        return environment

    def start(self, ring: int, mask: set[int]) -> int:
        """Spawns the interpreter with the signal mask `mask`; its pid. OSError when that is impossible."""
        config = _memory_file("retroscope-config")
        try:
            os.pwrite(config, marshal.dumps(self.configuration()), 0)
            startup = os.path.join(os.path.dirname(__file__), "startup.py")
            flags = passed_on(self.flags)
            command = [sys.executable, "-S", "-P", *flags, startup, str(ring), str(config)]
            return os.posix_spawn(
                sys.executable, command, self.environment(), setsigdef=[_SIGPIPE, _SIGXFSZ], setsigmask=mask
            )
        finally:
            os.close(config)

    def recording(self, started: float) -> dict[str, object]:
        """Facts of the whole recording, for the trace."""
        import retroscope
        from retroscope.recorder import _core
        from retroscope.trace.build import build_facts

        system = os.uname()
        return {
            "created": started,
            "retroscope": getattr(retroscope, "__version__", "development"),
            "build": build_facts(os.path.dirname(__file__), _core.sources, _core.interpreter_build()),
            "python": ".".join(map(str, sys.version_info[:3])),
            "python_full": sys.version,
            "implementation": sys.implementation.name,
            "system": system.sysname,
            "release": system.release,
            "machine": system.machine,
            "seed": self.seed,
            "chaos": self.chaos is not None,
            "chaos_seed": self.chaos,
            "redacted": self.redaction.names if self.redaction else [],
        }

    def process(self, pid: int, started: float) -> dict[str, object]:
        """Facts of the program's process, for the trace."""
        return {
            "pid": pid,
            "parent": None,
            "kind": self.kind,
            "target": self.target,
            "argv": self.program(),
            "cwd": self.cwd,
            "executable": sys.executable,
            "flags": self.flags,
            "outputs": [_file(1), _file(2)],
            "python": ".".join(map(str, sys.version_info[:3])),
            "started": started,
        }
