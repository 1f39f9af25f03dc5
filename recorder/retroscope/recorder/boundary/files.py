"""Files: the raw layer of `io`. The buffered and text layers above it are deterministic and run in replay; how threads
wait for each other there: recorder/native-core/buffers.h.

In replay a FileIO is a real one on the null device, under the recorded descriptor. But a Python source in another
encoding than UTF-8 begins as it did: where CPython shows a line of it in a traceback, C code reads from the descriptor
which encoding that is.
"""

import _io
import posix
import sys

from retroscope.recorder.boundary.declare import PASS, RERUN, Module, Type, adapt, buffer, output, thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from retroscope.recorder.annotations import Args, Core, Kwargs

_core: "Core" = None
_null = -1
_LONGEST_HEAD = 512  # bytes of two lines that say the encoding


def bind(core: "Core") -> None:
    global _null
    if not core.replaying():
        return
    _null = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
    high = posix.sysconf("SC_OPEN_MAX")
    keep = min(high, 1 << 16) - 16
    posix.dup2(_null, keep, False)
    posix.close(_null)
    _null = keep


def occupy(descriptor: int) -> None:
    """In replay: the recorded descriptor exists, as the null device."""
    if 2 < descriptor < _null or (0 <= descriptor <= 2 and not _is_open(descriptor)):
        posix.dup2(_null, descriptor, False)


def _is_open(descriptor: int) -> bool:
    try:
        posix.fstat(descriptor)
    except OSError:
        return False
    return True


def _encode(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    name = args[0] if args else None
    descriptor = self.fileno()
    if type(name) is str and (name.endswith(".py") or _is_program(name)) and self.readable():
        head = _encoding_lines(descriptor)
        if head:
            return (descriptor, self._blksize, head)
    return (descriptor, self._blksize)


def _is_program(path: str) -> bool:
    main = sys.modules.get("__main__")
    return type(main) is type(sys) and main.__dict__.get("__file__") == path


def _encoding_lines(descriptor: int) -> bytes:
    """The first two lines of a source that may be in another encoding than UTF-8, else nothing."""
    try:
        lines = posix.pread(descriptor, _LONGEST_HEAD, 0).splitlines(True)[:2]
    except OSError:
        return b""  # no regular file
    head = b"".join(lines)
    return head if b"coding" in head and head.endswith((b"\n", b"\r")) else b""


def _begin_with(head: bytes, descriptor: int) -> None:
    made = posix.memfd_create("source", posix.MFD_CLOEXEC)
    posix.write(made, head)
    posix.lseek(made, 0, 0)
    posix.dup2(made, descriptor, False)
    posix.close(made)


def _decode(value: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> None:
    descriptor, block, *head = value
    occupy(descriptor)
    if head and 2 < descriptor < _null:
        _begin_with(head[0], descriptor)
    given = dict(zip(("file", "mode", "closefd"), args)) | (kwargs or {})
    _io.FileIO.__init__(self, descriptor, given.get("mode", "r"), given.get("closefd", True))
    _core.set_member(self, _io.FileIO.__dict__["_blksize"], block)
    if not isinstance(self.__dict__.get("name"), type(given["file"])) or given["file"] != descriptor:
        self.name = given["file"]


# What takes the lock inside a buffered file. The lock is C's: a thread would wait for it with the turn.
_LOCKING = {
    name: thread("BUFFER_USE")
    for name in (
        "read", "read1", "readinto", "readinto1", "readline", "peek", "write", "flush", "seek", "truncate", "close",
    )
}  # fmt: skip

MODULES = [
    Module(
        "_io",
        functions=PASS,
        types=[
            Type(
                "FileIO",
                special={
                    "__init__": adapt(_encode, _decode),
                    "readinto": buffer(0),
                    "write": output(data=0, descriptor=-1),
                    "close": RERUN,
                },
                passing="fileno readable writable _dealloc_warn",
            ),
            Type("BufferedReader", methods=PASS, special=_LOCKING),
            Type("BufferedWriter", methods=PASS, special=_LOCKING),
            Type("BufferedRandom", methods=PASS, special=_LOCKING),
        ],
    ),
]
