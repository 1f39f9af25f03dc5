"""Files: the raw layer of `io`. The buffered and text layers above it are deterministic and run in replay.

In replay a FileIO is a real one on the null device, under the recorded descriptor.
"""

import _io
import posix

from retroscope.recorder.boundary.declare import PASS, RERUN, Module, Type, adapt, buffer, output

_core = None
_null = None

def bind(core):
    global _core, _null
    _core = core
    _null = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
    high = posix.sysconf("SC_OPEN_MAX")
    keep = min(high, 1 << 16) - 16
    posix.dup2(_null, keep, False)
    posix.close(_null)
    _null = keep

def occupy(descriptor):
    """In replay: the recorded descriptor exists, as the null device."""
    if 2 < descriptor < _null:
        posix.dup2(_null, descriptor, False)

_MODES = {"r": 0, "w": 0o1001, "x": 0o301, "a": 0o2101}  # octal O_ flags of Linux, without the access mode

def _flags(mode):
    flags = posix.O_CLOEXEC
    flags |= {"r": 0, "w": posix.O_CREAT | posix.O_TRUNC, "x": posix.O_EXCL | posix.O_CREAT,
              "a": posix.O_CREAT | posix.O_APPEND}[next(c for c in mode if c in "rwxa")]  # fmt: skip
    return flags | (posix.O_RDWR if "+" in mode else posix.O_RDONLY if "r" in mode else posix.O_WRONLY)

def _with_opener(call, self, args, kwargs):
    """The opener is the program's own code: it runs visibly, on both sides."""
    given = dict(zip(("file", "mode", "closefd", "opener"), args)) | (kwargs or {})
    if given.get("opener") is None:
        return call(self, *args, **(kwargs or {}))
    file, mode = given["file"], given.get("mode", "r")
    descriptor = _core.visible(given["opener"], (file, _flags(mode)))
    if not isinstance(descriptor, int):
        raise TypeError("expected integer from opener")
    if descriptor < 0:
        raise ValueError(f"opener returned {descriptor}")
    if not _core.replaying():
        posix.set_inheritable(descriptor, False)
    call(self, descriptor, mode, True)
    self.name = file

def _encode(result, self, args, kwargs):
    return (self.fileno(), self._blksize)

def _decode(value, self, args, kwargs):
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
                    "__init__": adapt(_encode, _decode, wrap=_with_opener, index=3),
                    "readinto": buffer(0),
                    "write": output(data=0, descriptor=-1),
                    "close": RERUN,
                },
                passing="fileno readable writable _dealloc_warn",
            )
        ],
    ),
]
