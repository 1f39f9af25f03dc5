"""Files: the raw layer of `io`. The buffered and text layers above it are deterministic and run in replay.

In replay a FileIO is a real one on the null device, under the recorded descriptor.
"""

import _io
import posix

from retroscope.recorder.boundary.declare import PASS, RERUN, Module, Type, adapt, buffer, output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from retroscope.recorder.annotations import Args, Core, Kwargs

_core: "Core" = None
_null = -1

def bind(core: "Core") -> None:
    global _core, _null
    _core = core
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
    return (self.fileno(), self._blksize)

def _decode(value: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> None:
    descriptor, block = value
    occupy(descriptor)
    given = dict(zip(("file", "mode", "closefd"), args)) | (kwargs or {})
    _io.FileIO.__init__(self, descriptor, given.get("mode", "r"), given.get("closefd", True))
    _core.set_member(self, _io.FileIO.__dict__["_blksize"], block)
    if not isinstance(self.__dict__.get("name"), type(given["file"])) or given["file"] != descriptor:
        self.name = given["file"]

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
            )
        ],
    ),
]
