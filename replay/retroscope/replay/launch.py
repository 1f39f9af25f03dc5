"""Starting the root replay process of a recording. Linux only: streams travel in files without a name."""

from __future__ import annotations

import fcntl
import importlib.util
import marshal
import os
import socket
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from retroscope.recorder import _core
from retroscope.replay.addresses import fixed_addresses
from retroscope.replay.interpreter import find_interpreter
from retroscope.replay.moments import ReplayError
from retroscope.replay.process import ProcessDied, ReplayProcess
from retroscope.replay.recording import Recording, Start
from retroscope.replay.spare_memory import spare_memory

_FIRST_DESCRIPTOR = 300
_MOST_IN_MEMORY = 1 << 26
"""Bytes of a stream that are held in memory."""
_LEAST_MEMORY = 257
"""MiB that a replay process may always use; such a number and all above it are objects of their own, of one size."""
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


_INSPECTOR = (
    "inspector_arrays.py", "inspector_contents.py", "inspector_values.py", "inspector_places.py",
    "inspector_conditions.py", "inspector_threads.py", "inspector_tasks.py", "inspector_watches.py",
    "inspector_changes.py", "inspector.py",
)  # fmt: skip
"""In the order in which they are loaded."""


class Launcher:
    """Starts root processes of one recording; decodes its stream once. `close` lets the stream go."""

    def __init__(self, recording: Recording) -> None:
        recording.require_python()
        self._start = recording.start
        self._recorded_memory = recording.most_memory
        self._executable = find_interpreter(self._start, recording.path)
        self._children: list[subprocess.Popen[bytes]] = []
        self._stream = stream_file(recording.flat, recording.flat_size)

    def launch(self) -> ReplayProcess:
        """A new root, waiting at tick 0."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        errors = os.memfd_create("retroscope-errors", os.MFD_CLOEXEC)
        stream = _moved(os.open(f"/proc/self/fd/{self._stream}", os.O_RDONLY | os.O_CLOEXEC))
        config = _moved(os.memfd_create("retroscope-configuration", os.MFD_CLOEXEC))
        control = _moved(theirs.detach())
        try:
            os.write(config, marshal.dumps(self._configuration(control)))
            os.lseek(config, 0, os.SEEK_SET)
            with fixed_addresses():
                child = subprocess.Popen(
                    [self._executable, "-S", "-P", *self._start.flags, _startup(), str(stream), str(config)],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
                    env=_environment(self._start), pass_fds=(stream, config, control), start_new_session=True,
                )  # fmt: skip
            self._children.append(child)
            os.close(control)
            control = -1
            return ReplayProcess.adopt(ours)
        except ProcessDied as died:
            ours.close()
            raise ReplayError(f"the replay process did not start: {_complaint(errors)}") from died
        except BaseException:
            ours.close()
            raise
        finally:
            for descriptor in (stream, config, errors, control):
                if descriptor >= 0:
                    os.close(descriptor)

    def close(self) -> None:
        """After the processes' own sockets were closed: waits for the roots, so that none is left as a zombie."""
        if self._stream >= 0:
            os.close(self._stream)
        self._stream = -1
        for child in self._children:
            try:
                child.wait(2)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def _configuration(self, control: int) -> dict[str, object]:
        here = Path(__file__)
        return {
            "mode": "replay",
            "core": _core.__file__,
            "control_fd": control,
            "inspector": [str(here.with_name(name)) for name in _INSPECTOR],
            "memory": (_mebibytes(spare_memory() // 10 * 9), _mebibytes(self._recorded_memory)),
            "seed": self._start.seed,
            "cwd": self._start.cwd,
        }


def _mebibytes(most: int) -> int:
    """Of a limit in bytes; 0: none."""
    return most and max(_LEAST_MEMORY, most >> 20)


def _moved(descriptor: int) -> int:
    """The same under a number of three digits, where there is room: the new process handles these numbers as objects
    and text, whose sizes would shift the addresses of everything after them."""
    try:
        moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST_DESCRIPTOR)
    except OSError:  # the limit on descriptors is lower
        return descriptor
    os.close(descriptor)
    return moved


def stream_file(write: Callable[[int], None], size: int) -> int:
    """A file without a name, for reading only, with what `write` writes to its descriptor: a replay process's stream.

    `size`: about how many bytes that will be. What is long is not kept in memory, where it could only be swapped out.
    """
    stream = _on_disk(size) if size > _MOST_IN_MEMORY else -1
    in_memory = stream < 0
    if in_memory:
        stream = os.memfd_create("retroscope-stream", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        write(stream)
        if in_memory:
            fcntl.fcntl(stream, fcntl.F_ADD_SEALS, _SEALS)
            return stream
        return os.open(f"/proc/self/fd/{stream}", os.O_RDONLY | os.O_CLOEXEC)
    except BaseException:
        os.close(stream)
        stream = -1
        raise
    finally:
        if not in_memory and stream >= 0:
            os.close(stream)


def _on_disk(size: int) -> int:
    """A new file for temporary things that outlive a restart, as these are on a disk; -1 if there is no room for it."""
    for folder in ("/var/tmp", tempfile.gettempdir()):
        try:
            free = os.statvfs(folder)
            if free.f_bavail * free.f_frsize > 2 * size:
                return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o400)
        except OSError:  # this file system has no such files, or we may not write there: the next one, or memory
            continue
    return -1


def launcher_of(recording: Recording) -> tuple[Callable[[], ReplayProcess], Callable[[], None]]:
    """(start a root process, end all of it): the seam that test doubles take."""
    launcher = Launcher(recording)
    return launcher.launch, launcher.close


def _startup() -> str:
    """The file that both the recorded and the replaying interpreter start through; found, not imported."""
    found = importlib.util.find_spec("retroscope.recorder.startup")
    if found is None or found.origin is None:
        raise ReplayError("this installation of Retroscope has no recorder/startup.py; install it again")
    return found.origin


def _environment(start: Start) -> dict[bytes, bytes]:
    """The recorded environment, with the hash seed that was in force.

    Not what makes the loader of programs load other code: that would run before the seal.
    """
    environment = {
        os.fsencode(name): os.fsencode(value)
        for name, value in start.environ
        if not (start.ignore_environment and name.startswith("PYTHON"))
        and not name.startswith(("LD_", "GLIBC_")) and name not in ("PYTHONHOME", "PYTHONPLATLIBDIR")
    }
    environment[b"PYTHONHASHSEED"] = str(start.seed).encode()
    if os.environ.get("SCOPE_DEBUG") == "1":
        environment[b"SCOPE_DEBUG"] = b"1"  # the core then leaves stderr open
    return environment


def _complaint(errors: int) -> str:
    """Why it did not come to its first line, in a sentence, from what the interpreter wrote to its standard error."""
    os.lseek(errors, 0, os.SEEK_SET)
    lines = os.read(errors, 1 << 16).decode("utf-8", "replace").strip().splitlines()
    if os.environ.get("SCOPE_DEBUG") == "1":
        return "\n".join(lines)
    if not lines:
        return "it ended without a word"
    if f"module '{_core.__name__}' has no attribute" in lines[-1]:
        return "the native core of this installation is of another version than its Python files; install it again"
    return next((line for line in lines if line.startswith("The replay diverged")), lines[-1])  # a stack follows that
