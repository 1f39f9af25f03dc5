"""The operating system's calls: everything in `posix` but what only computes."""

from retroscope.recorder.boundary.declare import RERUN, Module, Policy, Type, adapt, output
from retroscope.recorder.boundary.processes import SPAWN, STARTS, rewrite_exec, will_be_recorded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from retroscope.recorder.annotations import Args, Core, Kwargs

_core: "Core" = None


def _encode_entry(entry: "Any") -> "Any":
    return (entry.name, entry.path)


def _decode_entry(kind: type, value: "Any", self: "Any") -> "Any":
    entry = _core.allocate(kind)
    _core.set_member(entry, kind.__dict__["name"], value[0])
    _core.set_member(entry, kind.__dict__["path"], value[1])
    return entry


def _encode_iterator(iterator: "Any") -> None:
    return None


def _decode_iterator(kind: type, value: "Any", self: "Any") -> "Any":
    """A real one, of a folder that is always there: it warns when it dies open."""
    import posix

    return posix.scandir("/")


def _next_entry(call: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    """The end closes it."""
    try:
        return call(self)
    except BaseException:
        if _core.replaying():
            type(self).close(self)
        raise


def _iterator_type(module: "Any") -> type:
    iterator = module.scandir("/")
    iterator.close()
    return type(iterator)


def _encode_filled(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    return (result, [bytes(part)[:result] for part in args[1]])


def _decode_filled(value: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    result, parts = value
    left = result
    for part, data in zip(args[1], parts):
        view = memoryview(part).cast("B")
        n = min(left, len(view))
        view[:n] = data[:n]
        left -= n
    return result


def _encode_control(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    """ioctl fills a buffer that can be written to."""
    if len(args) < 3 or isinstance(args[2], (int, str, bytes)):
        return (result, None)
    view = memoryview(args[2])
    return (result, None if view.readonly else bytes(view))


def _decode_control(value: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    result, filled = value
    if filled is not None:
        memoryview(args[2]).cast("B")[:] = filled
    return result


def _note_new_program(self: "Any", args: "Args", kwargs: "Kwargs") -> bool:
    """The interpreter is about to be replaced, if the system agrees: nothing of it can say so afterwards."""
    import posix

    path: Any = args[0] if args else (kwargs or {}).get("path")
    try:
        if posix.access(path, posix.X_OK) and not will_be_recorded(path):
            _core.note(f"the program called exec: what {path!r} does in its place is not recorded")
    except (OSError, TypeError, ValueError):
        pass  # the call itself will say what is wrong with the path
    return True


def _note_duplicate(self: "Any", args: "Args", kwargs: "Kwargs") -> bool:
    """From now on the program's output may pass through other descriptors than 1 and 2."""
    _core.descriptor_duplicated()
    return True


_duplicates = Policy("RESULT", when=_note_duplicate)


def _tell_exec(call: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    _core.calls_exec(True)
    try:
        return call(self, *args, **(kwargs or {}))
    finally:
        _core.calls_exec(False)


def _tell_end(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    """Only its parent learns which signal killed a process."""
    pid, status = result[:2]
    if pid and status & 0x7F not in (0, 0x7F):
        _core.saw_end(pid, status)
    return result


def _tell_end_by_id(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    if result is not None and result.si_code in _KILLED:
        _core.saw_end(result.si_pid, result.si_status)
    return result


_KILLED = (2, 3)  # CLD_KILLED, CLD_DUMPED

_COMPUTES = """
    fspath strerror major minor makedev register_at_fork WCOREDUMP WIFCONTINUED WIFSTOPPED WIFSIGNALED WIFEXITED
    WEXITSTATUS WTERMSIG WSTOPSIG _path_normpath _path_splitroot _path_splitroot_ex _inputhook waitstatus_to_exitcode
    CPU_COUNT putenv unsetenv
"""

MODULES = [
    Module(
        "posix",
        passing=_COMPUTES,
        special={
            "write": output(data=1, descriptor=0),
            "dup": _duplicates,
            "dup2": _duplicates,
            "execv": Policy("RESULT", when=_note_new_program, wrap=_tell_exec, index=-1, rewrite=rewrite_exec),
            "execve": Policy("RESULT", when=_note_new_program, wrap=_tell_exec, index=-1, rewrite=rewrite_exec),
            "posix_spawn": SPAWN,
            **dict.fromkeys(("posix_spawnp", "system"), STARTS),
            "fork": Policy("FORK"),
            "forkpty": Policy("FORK"),
            "_exit": Policy("EXIT"),
            **dict.fromkeys(("wait", "waitpid", "wait3", "wait4"), adapt(_tell_end, None)),
            "waitid": adapt(_tell_end_by_id, None),
            "readv": adapt(_encode_filled, _decode_filled),
            "preadv": adapt(_encode_filled, _decode_filled),
        },
        types=[
            Type("DirEntry", handle=(_encode_entry, _decode_entry), passing="__fspath__"),
            Type(
                _iterator_type,
                special={
                    "__next__": Policy("RESULT", wrap=_next_entry, index=-1),
                    "close": RERUN,
                    "__exit__": RERUN,
                },
                handle=(_encode_iterator, _decode_iterator),
                passing="__enter__",
            ),
        ],
    ),
    Module("fcntl", special={"fcntl": _duplicates, "ioctl": adapt(_encode_control, _decode_control)}),
    Module("_locale", special={"setlocale": RERUN}, passing="strcoll strxfrm gettext dgettext dcgettext"),
]
