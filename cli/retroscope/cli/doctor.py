"""`scope doctor`: can this machine record and replay? Says what is missing, and the remedy. (Linux)"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from typing import TYPE_CHECKING

from retroscope.cli.messages import OK, USER_ERROR

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

SUPPORTED = ((3, 11), (3, 12), (3, 13))
MACHINES = ("x86_64", "aarch64")
ENOUGH_SPACE = 200 * 10**6  # bytes
_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_CALL = {"x86_64": 317, "aarch64": 277}
_EFAULT = 14


class Missing(Exception):
    """A check failed: what is wrong, and what to do about it."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}; {remedy}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None: there is nothing to choose."""


def run(args: argparse.Namespace) -> int:
    failed = 0
    for name, check in CHECKS.items():
        try:
            line = f"ok       {name}: {check()}"
        except Missing as missing:
            line = f"MISSING  {name}: {missing}"
            failed += 1
        sys.stdout.write(line + "\n")
    if failed:
        sys.stdout.write(f"{failed} of {len(CHECKS)} checks failed; recording or replaying will not work\n")
        return USER_ERROR
    sys.stdout.write("this machine can record and replay\n")
    return OK


def interpreter() -> str:
    version = platform.python_version()
    if sys.implementation.name != "cpython" or sys.version_info[:2] not in SUPPORTED:
        wanted = ", ".join(f"{major}.{minor}" for major, minor in SUPPORTED)
        raise Missing(f"{platform.python_implementation()} {version}", f"install Retroscope under CPython {wanted}")
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        raise Missing(f"CPython {version} without the GIL", "use the ordinary build of CPython")
    return f"CPython {version}"


def machine() -> str:
    system = os.uname()
    if system.sysname != "Linux":
        raise Missing(system.sysname, "record and replay on Linux, for example in a container")
    if system.machine not in MACHINES:
        raise Missing(f"a {system.machine} processor", f"use one of {', '.join(MACHINES)}")
    return f"Linux {system.release} on {system.machine}"


def native_core() -> str:
    try:
        from retroscope.recorder import _core
    except ImportError as error:
        raise Missing(
            f"the native core cannot be loaded ({error})",
            "install Retroscope again: pip install --force-reinstall retroscope",
        ) from error
    return os.path.basename(_core.__file__ or "built in")


def memory_file() -> str:
    try:
        descriptor = os.memfd_create("retroscope-doctor", 0)
    except OSError as error:
        raise Missing(f"memfd_create fails ({error.strerror})", "allow it in the sandbox or container") from error
    os.close(descriptor)
    return "memfd_create works"


def ring() -> str:
    native_core()
    from retroscope.recorder._core import RingConsumer
    from retroscope.recorder.spawn import make_ring

    try:
        descriptor = make_ring()
    except OSError as error:
        raise Missing(f"the ring cannot be made ({error.strerror})", "give the container more memory") from error
    try:
        RingConsumer(descriptor)
    except OSError as error:
        raise Missing(f"the ring cannot be mapped ({error.strerror})", "raise the limit of `ulimit -v`") from error
    finally:
        os.close(descriptor)
    return "mapped twice in a row"


def fork() -> str:
    try:
        child = os.fork()
    except OSError as error:
        raise Missing(f"fork fails ({error.strerror})", "raise the limit of `ulimit -u`") from error
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return "snapshots can be made"


def pidfd() -> str:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        remedy = "use Linux 5.3 or later, and allow it in the sandbox"
        raise Missing(f"pidfd_open fails ({error.strerror})", remedy) from error
    return "pidfd_open works"


def seccomp() -> str:
    """Asks for a filter at address 0: EFAULT means the kernel would take one at a good address."""
    import ctypes

    call = _SECCOMP_CALL.get(os.uname().machine)
    if call is None:
        raise Missing("unknown on this processor", f"use one of {', '.join(MACHINES)}")
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall(ctypes.c_long(call), ctypes.c_uint(_SECCOMP_SET_MODE_FILTER), ctypes.c_uint(0), None)
    if ctypes.get_errno() != _EFAULT:
        raise Missing(
            f"no filter can be set ({os.strerror(ctypes.get_errno())})",
            "replay runs unsealed here: open only traces that you trust, or allow seccomp in the container",
        )
    return "replay is sealed"


def package(name: str) -> Callable[[], str]:
    """A check that the package `name` is there."""

    def check() -> str:
        try:
            module = __import__(name)
        except ImportError as error:
            raise Missing(f"cannot be imported ({error})", f"pip install {name}") from error
        return str(getattr(module, "__version__", "installed"))

    return check


def space(folder: Callable[[], str], remedy: str) -> Callable[[], str]:
    """A check that `folder()` can be written and has room."""

    def check() -> str:
        where = folder()
        if not os.access(where, os.W_OK):
            raise Missing(f"{where} cannot be written", remedy)
        free = shutil.disk_usage(where).free
        if free < ENOUGH_SPACE:
            raise Missing(f"{where} has only {free // 10**6} MB free", remedy)
        return f"{where}, {free // 10**6:,} MB free"

    return check


def _current() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError as error:
        raise Missing("the current directory is gone", "work in another directory") from error


def _temporary() -> str:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError as error:
        raise Missing("no directory for temporary files can be written", "set TMPDIR to one that can") from error


CHECKS: dict[str, Callable[[], str]] = {
    "interpreter": interpreter,
    "machine": machine,
    "native core": native_core,
    "memory files": memory_file,
    "ring": ring,
    "fork": fork,
    "pidfd": pidfd,
    "seccomp": seccomp,
    "ptrace": lambda: "not needed",
    "lmdb": package("lmdb"),
    "zstandard": package("zstandard"),
    "cloudpickle": package("cloudpickle"),
    "temporary files": space(_temporary, "free some space or set TMPDIR"),
    "traces": space(_current, "work in another directory, or name one with scope record -o"),
}
