"""Memory maps. In replay a map of a file is an anonymous one that holds what the file held when it was mapped.

What other processes write into a shared map later is recorded at the next input, what the program itself writes to the
file at once (recorder/native-core/shared_memory.h). Shared maps that begin at the same place of a file are the same
memory in replay, until one is resized. Not seen are what others write to a large file before this process has started
one, or where this one can only read it; what shows of others in a private map; and what other maps of a file show of
each other.
"""

import posix

from retroscope.recorder.boundary.declare import PASS, RESULT, Module, Policy, Type, adapt, argument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from retroscope.recorder.annotations import Args, Core, Kwargs

_PIECE = 1 << 24
_SMALL = 64 << 10  # of which changes are cheap to find
_NEVER, _LATER, _NOW, _NOW_ALL = range(4)
_ENXIO = 6
_READ, _WRITE = 1, 2  # PROT_ and ACCESS_ alike
_COPY = 3  # ACCESS_COPY
_SHARED, _PRIVATE = 1, 2  # MAP_
_OFFSET_AT = 40  # offset of mmap_object.offset
_ACCESS_AT = 72  # offset of mmap_object.access, 3.11 to 3.13, 64-bit
_core: "Core" = None
_kind: "Any" = None


def _ready(core: "Core", module: "Any") -> None:
    """Its own `__new__` makes what a subclass asks for: that of the subclass has been called already."""
    global _kind
    _kind = module.mmap


def _access(args: "Args", kwargs: "Kwargs") -> int:
    """As CPython has it: where no access is asked for, `prot` says it."""
    access = int(argument(args, kwargs, 4, "access", 0))
    prot = int(argument(args, kwargs, 3, "prot", _READ | _WRITE))
    if access or prot & (_READ | _WRITE) == _READ | _WRITE:
        return access
    return _WRITE if prot & _WRITE else _READ


def _offset(args: "Args", kwargs: "Kwargs") -> int:
    return int(argument(args, kwargs, 5, "offset", 0))


def _pieces(view: "Any", descriptor: int, offset: int) -> "Any":
    """(place, content) of what is mapped, without the holes of a sparse file."""
    place, end = 0, len(view)
    try:
        while place < end:
            data = max(posix.lseek(descriptor, offset + place, posix.SEEK_DATA) - offset, place)
            hole = min(posix.lseek(descriptor, offset + data, posix.SEEK_HOLE) - offset, end)
            for begin in range(data, hole, _PIECE):
                yield (begin, bytes(view[begin : min(begin + _PIECE, hole)]))
            place = hole
    except OSError as error:
        if error.errno == _ENXIO:  # only a hole up to the end
            return
        yield from ((begin, bytes(view[begin : begin + _PIECE])) for begin in range(place, end, _PIECE))


def _is_shared(args: "Args", kwargs: "Kwargs") -> bool:
    """Does it show what others write to the file, or to maps of it?"""
    private = int(argument(args, kwargs, 2, "flags", _SHARED)) & _PRIVATE
    return not private and _access(args, kwargs) != _COPY


def _is_open_to_all(descriptor: int) -> bool:
    """Is it of memory only, or has no name any more: made to be shared?"""
    try:
        path = posix.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return False
    return path.startswith(("/dev/shm/", "/memfd:")) or path.endswith(" (deleted)")


def _watch(descriptor: int, size: int, args: "Args", kwargs: "Kwargs") -> int:
    """When others may write there: `enum map_watch` of recorder/native-core/maps.h."""
    if not _is_shared(args, kwargs):
        return _NEVER
    if descriptor == -1:
        return _LATER
    if _is_open_to_all(descriptor):
        return _NOW_ALL
    if size <= _SMALL:
        return _NOW
    return _NEVER if _access(args, kwargs) == _READ else _LATER


def _encode(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    """None: no file. The file's own position stays: pieces are sought on another description of it."""
    mapped, shared = int(argument(args, kwargs, 0, "fileno", -1)), _is_shared(args, kwargs)
    if mapped == -1:
        if shared:
            _core.share_memory(result, True, _LATER, -1, 0, None)
        return None
    try:
        descriptor = posix.open(f"/proc/self/fd/{mapped}", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        descriptor = -1  # not a file that can be opened again: seeking fails too
    try:
        with memoryview(result) as view:
            size, offset = len(view), _offset(args, kwargs)
            watch, pieces = _watch(mapped, size, args, kwargs), list(_pieces(view, descriptor, offset))
            _core.share_memory(result, shared, watch, mapped, offset, pieces)
            return (size, pieces, _core.earlier_memory(result), watch)
    finally:
        if descriptor >= 0:
            posix.close(descriptor)


def _decode(value: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    shared = _is_shared(args, kwargs)
    if value is None:
        made = _kind.__new__(self, *args, **(kwargs or {}))
        _core.unshare_memory(made)
        if shared:
            _core.share_memory(made, True, _LATER, -1, 0, None)
        return made
    made = _of_file(value, self, args, kwargs)
    earlier, watch = value[2:]
    _core.share_memory(made, shared, watch, -1, 0, None)
    if earlier:
        _core.join_memory(made, earlier)
    return made


def _of_file(value: "Any", kind: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    length, pieces = value[:2]
    untracked = {"trackfd": False} if kwargs and not kwargs.get("trackfd", True) else {}  # 3.13
    made = _kind.__new__(kind, -1, length, **untracked)
    _core.unshare_memory(made)
    for begin, content in pieces:
        made[begin : begin + len(content)] = content
    _core.poke_int(made, _ACCESS_AT, _access(args, kwargs))
    low, high = _offset(args, kwargs) & 0xFFFFFFFF, _offset(args, kwargs) >> 32
    _core.poke_int(made, _OFFSET_AT, low - (low >> 31 << 32))
    _core.poke_int(made, _OFFSET_AT + 4, high)
    return made


def _leave(self: "Any", args: "Args", kwargs: "Kwargs") -> bool:
    if _core.replaying():
        _core.leave_memory(self)
    return True


def _done(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> None:
    return None


_moves = Policy("HOOK", when=_leave, encode=_done)

MODULES = [
    Module(
        "mmap",
        functions=PASS,
        ready=_ready,
        types=[
            Type("mmap", methods=PASS,
                 special={"__new__": adapt(_encode, _decode), "flush": RESULT, "size": RESULT,
                          "madvise": RESULT, "close": Policy("RERUN", when=_leave), "__exit__": _moves,
                          "resize": _moves}),
        ],
    ),
]
