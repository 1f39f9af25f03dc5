"""Takes a path for a new trace: refuses to replace what is not a trace, and lets nobody else write it meanwhile.

The new trace grows under a temporary name beside its place and takes its name with its first commit, so the old one
stays whole until then, and whoever reads it keeps what he opened. An exclusive flock on the file says "being written":
it vanishes with the process that holds it, however that dies. (Linux and local file systems.)
"""

from __future__ import annotations

import errno
import fcntl
import os

from retroscope.trace.errors import BusyTrace, DamagedTrace, FutureTrace, NotATrace, OldTrace, RefusedPath
from retroscope.trace.layout import FORMAT, FORMAT_MAGIC, KEY_FORMAT, META, OLDEST_READABLE, TRACE_VERSION, unframe
from retroscope.trace.pages import PageFile


def check_format(pages: PageFile, meta: dict[bytes, bytes]) -> None:
    """Raises unless `meta`, the table of that name, belongs to a trace that this version reads."""
    stored = meta.get(KEY_FORMAT)
    if stored is None:
        raise NotATrace(pages.name, "it is an LMDB database of something else")
    body = unframe(META, KEY_FORMAT, stored)
    if body is None or len(body) < FORMAT.size:
        raise pages.damaged("its format mark is not what it was")
    magic, version = FORMAT.unpack_from(body)
    if magic != FORMAT_MAGIC:
        raise NotATrace(pages.name, "it is an LMDB database of something else")
    if version > TRACE_VERSION:
        raise FutureTrace(pages.name, version, TRACE_VERSION)
    if version < OLDEST_READABLE:
        raise OldTrace(pages.name, version, OLDEST_READABLE)


def is_being_written(descriptor: int) -> bool:
    """Does a process hold the lock of this trace?"""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        # Otherwise the file system has no locks: nobody can say, and a writer holds none either.
        return error.errno in (errno.EWOULDBLOCK, errno.EACCES)
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


class Claim:
    """The right to write the trace at `path`: until `settle`, under the name `temporary`."""

    def __init__(self, path: str) -> None:
        """Raises RefusedPath or BusyTrace; nothing has been changed then."""
        self.path = path
        self.final = os.path.realpath(path)
        _check_replaceable(path, self.final)
        folder, name = os.path.split(self.final)
        self.temporary = os.path.join(folder, f".{name}.{os.urandom(4).hex()}.new")
        try:
            self.descriptor = os.open(self.temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise RefusedPath(path, f"cannot be written ({_reason(error)})") from error
        self._file = _identity(os.fstat(self.descriptor))
        self.settled = False
        try:  # noqa: SIM105 - contextlib takes a millisecond to import
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pass  # a file system without locks: the trace then never shows as being written

    def settle(self) -> None:
        """Gives the trace its name, in one step, instead of what was there; RefusedPath if that is taken by now."""
        _check_replaceable(self.path, self.final)
        try:
            os.rename(self.temporary, self.final)
        except OSError as error:
            raise RefusedPath(self.path, f"cannot be written ({_reason(error)})") from error
        self.settled = True

    @property
    def in_place(self) -> bool:
        """Is the trace that has settled still what its name names? Nobody keeps others from removing it."""
        try:
            return _identity(os.stat(self.final)) == self._file
        except OSError:
            return False

    def release(self) -> None:
        """Lets go, once; a trace that never settled is removed."""
        if self.descriptor < 0:
            return
        if not self.settled and os.path.exists(self.temporary):
            os.unlink(self.temporary)
        os.close(self.descriptor)
        self.descriptor = -1


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def check_place(path: str) -> None:
    """Raises RefusedPath or BusyTrace unless a trace may be written at `path`; changes nothing."""
    Claim(path).release()


def move_trace(source: str, path: str) -> None:
    """Gives the finished trace `source` the name `path`, in place of an older trace; both in one file system."""
    final = os.path.realpath(path)
    _check_replaceable(path, final)
    try:
        os.rename(source, final)
    except OSError as error:
        raise RefusedPath(path, f"cannot be written ({_reason(error)})") from error


def _check_replaceable(path: str, final: str) -> None:
    try:
        descriptor = os.open(final, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return
    except OSError as error:
        raise RefusedPath(path, f"cannot be replaced ({_reason(error)})") from error
    try:
        status = os.fstat(descriptor)
        if status.st_mode & 0o170000 != 0o100000:
            raise RefusedPath(path, "is not a regular file")
        if is_being_written(descriptor):
            raise BusyTrace(path)
        if status.st_size and not _is_ours(descriptor, path):
            raise RefusedPath(path, "exists and is not a trace of Retroscope, so it is left as it is")
    finally:
        os.close(descriptor)


def _is_ours(descriptor: int, path: str) -> bool:
    pages = PageFile(descriptor, path)
    try:
        check_format(pages, pages.table(META))
    except (FutureTrace, OldTrace):
        return True
    except (NotATrace, DamagedTrace):
        return False
    return True


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
