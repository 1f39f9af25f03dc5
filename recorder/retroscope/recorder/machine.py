"""What the program finds at its start: environment, arguments, paths, flags, standard streams.

While recording it is taken from this machine and kept (`facts`); in replay it is put back (`restore`).
"""

import _signal  # type: ignore[import-not-found]  # typeshed lacks it
import _thread
import posix
import sys

from retroscope.recorder.command_lines import passed_on

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from retroscope.recorder.annotations import Config, Core, Facts, Program


def close(descriptor: int) -> None:
    posix.close(descriptor)


def pin_environment(config: "Config") -> None:
    """The pinned hash seed is ours; the program sees what its user had set."""
    seed = config["environ_hashseed"]
    if seed is None:
        posix.environ.pop(b"PYTHONHASHSEED", None)
        posix.unsetenv(b"PYTHONHASHSEED")
    else:
        posix.environ[b"PYTHONHASHSEED"] = seed.encode("utf-8", "surrogateescape")
        posix.putenv(b"PYTHONHASHSEED", seed.encode("utf-8", "surrogateescape"))
    for name, value in config.get("environ_hidden", {}).items():
        name, value = name.encode("utf-8", "surrogateescape"), value.encode("utf-8", "surrogateescape")
        posix.environ[name] = value
        posix.putenv(name, value)


def facts(config: "Config", program: "Program") -> "Facts":
    """The START record: everything a replay needs to begin alike. `program` is what read_program returned."""
    cwd = _cwd()
    return {
        "environ": [(_text(name), _text(value)) for name, value in posix.environ.items()],
        "seed": config["seed"],
        "ident": _thread.get_ident(),
        "executable": config["executable"],
        "version": sys.version,
        "hexversion": sys.hexversion,
        "platform": sys.platform,
        "kind": config["kind"],
        "target": config["target"],
        "args": config["args"],
        "argv": _copies(_argv(config)),
        "orig_argv": _copies(config["orig_argv"]),
        "flags": passed_on(config["flags"]),
        "cwd": cwd,
        "path": list(sys.path),
        "prefixes": {name: getattr(sys, name) for name in _PREFIXES},
        "no_site": config["no_site"],
        "no_user_site": config["no_user_site"],
        "isolated": config["isolated"],
        "ignore_environment": config["ignore_environment"],
        "isolated_by_file": config.get("isolated_by_file", False),
        "safe_path": config["safe_path"],
        "utf8_mode": sys.flags.utf8_mode,
        "ignored": _ignored_signals(),
        "streams": {name: _stream_facts(getattr(sys, name)) for name in ("stdin", "stdout", "stderr")},
        "main": _main_facts(config, cwd) | {"error": program[2] if program and program[1] is None else None},
    }


_PREFIXES = ("prefix", "exec_prefix", "base_prefix", "base_exec_prefix", "platlibdir", "_base_executable")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _cwd() -> str:
    try:
        return posix.getcwd()
    except OSError:
        return ""


def _argv(config: "Config") -> "list[str]":
    first = {"script": config["target"], "module": "-m", "code": "-c"}[config["kind"]]
    return [first, *config["args"]]


def _copies(words: "list[str]") -> "list[str]":
    """Strings that are nobody else's, as plain Python makes them and as replay reads them: `is` and pickle tell."""
    return [word.encode("utf-8", "surrogatepass").decode("utf-8", "surrogatepass") for word in words]


def _stream_facts(stream: "Any") -> "Facts | None":
    if stream is None:
        return None
    buffer = stream.buffer
    raw = getattr(buffer, "raw", buffer)
    return {
        "encoding": stream.encoding,
        "errors": stream.errors,
        "line_buffering": stream.line_buffering,
        "write_through": stream.write_through,
        "mode": stream.mode,
        "buffered": raw is not buffer,
        "block": raw._blksize,
        "position": raw.tell() if raw.seekable() else None,
        "name": raw.name,
    }


# --- the program itself


def _main_facts(config: "Config", cwd: str) -> "Facts":
    kind, target = config["kind"], config["target"]
    if kind == "code":
        return {"form": "code", "path0": ""}
    if kind == "module":
        return {"form": "module", "path0": cwd}
    path = target if target.startswith("/") or not cwd else cwd + "/" + target
    form = _form(path)
    if form == "package":
        return {"form": form, "path": path, "path0": path}
    folder = _real_path(path).rpartition("/")[0] or "/"
    return {"form": form, "path": path, "path0": folder, "skips_line": "-x" in config["flags"]}


def _form(target: str) -> str:
    try:
        mode = posix.stat(target).st_mode
    except OSError:
        return "file"
    if mode & 0o170000 == 0o040000:
        return "package"
    try:
        sys.path_hooks[0](target)
    except ImportError:
        return "file"
    return "package"  # an archive; what is known of it now is forgotten, see `restore`


def _real_path(path: str) -> str:
    """As realpath(3), for a path that exists; else the path itself."""
    done, rest, links = "", [part for part in path.split("/")[::-1] if part not in ("", ".")], 0
    while rest:
        part = rest.pop()
        if part == "..":
            done = done.rpartition("/")[0]
            continue
        try:
            link = posix.readlink(done + "/" + part)
        except OSError:
            done += "/" + part
            continue
        links += 1
        if links > 40:
            return path
        if link.startswith("/"):
            done = ""
        rest += [piece for piece in link.split("/")[::-1] if piece not in ("", ".")]
    return done or "/"


def read_program(config: "Config") -> "Program":
    """(path, content) of the program's file; (path, None, message) when it cannot be read; None: no file."""
    main = _main_facts(config, _cwd())
    if main["form"] != "file":
        return None
    try:
        descriptor = posix.open(main["path"], posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            data = b""
            while piece := posix.read(descriptor, 1 << 20):
                data += piece
        finally:
            posix.close(descriptor)
    except OSError as error:
        return (main["path"], None, f"[Errno {error.errno}] {error.strerror}")
    return (main["path"], data)


# --- putting it back

_DESCRIPTOR_AT = 16  # offset of fileio.fd, 3.11 to 3.13, 64-bit


def restore(core: "Core", facts: "Facts", replaying: bool) -> None:
    sys.path_importer_cache.clear()  # what was imported so far was found by the paths of this machine
    if "zipimport" in sys.modules:  # what the program is to learn of archives by itself, so that it is recorded
        sys.modules["zipimport"]._zip_directory_cache.clear()
    if replaying:
        _ignore_signals(facts.get("ignored", ()))
        posix.environ.clear()
        for name, value in facts["environ"]:
            posix.environ[name.encode("utf-8", "surrogateescape")] = value.encode("utf-8", "surrogateescape")
        sys.path[:] = facts["path"]
        for name, value in facts["prefixes"].items():
            setattr(sys, name, value)
        core.collector_assign(True)
        for name in ("stdin", "stdout", "stderr"):
            stream = _make_stream(core, name, facts["streams"][name])
            setattr(sys, name, stream)
            setattr(sys, "__" + name + "__", stream)
        core.collector_assign(False)
    core.signals_begin(_signal.signal, _signal.default_int_handler, _signal.SIGINT not in facts["ignored"])
    sys.executable = facts["executable"]
    sys.argv[:] = facts["argv"]
    sys.orig_argv[:] = facts["orig_argv"]
    names = type(sys.flags).__match_args__
    for name in ("no_site", "no_user_site", "isolated", "ignore_environment", "utf8_mode"):
        core.set_item(sys.flags, names.index(name), int(facts[name]))
    core.set_item(sys.flags, names.index("safe_path"), facts["safe_path"])


def _ignored_signals() -> "list[int]":
    """What the program finds ignored: Python itself ignores two, and `nohup` one more."""
    return [number for number in _signal.valid_signals() if _signal.getsignal(number) == _signal.SIG_IGN]


def _ignore_signals(ignored: "Sequence[int]") -> None:
    for number in _signal.valid_signals():
        found = _signal.getsignal(number)
        if number in ignored and found != _signal.SIG_IGN:
            _signal.signal(number, _signal.SIG_IGN)
        elif number not in ignored and found == _signal.SIG_IGN:
            _signal.signal(number, _signal.SIG_DFL)


def _make_stream(core: "Core", name: str, facts: "Facts | None") -> "Any":
    """As create_stdio() of CPython makes it, from the recorded facts."""
    if facts is None:
        return None
    import _io

    mode = "rb" if name == "stdin" else "wb"
    stand_in = _stand_in(facts["position"], mode)
    raw = _io.FileIO(stand_in, mode, closefd=False)
    core.set_member(raw, type(raw).__dict__["_blksize"], facts["block"])
    raw.name = facts["name"]
    kind = _io.BufferedReader if name == "stdin" else _io.BufferedWriter
    buffer = kind(raw, facts["block"] if facts["block"] > 1 else 8192) if facts["buffered"] else raw
    text = _io.TextIOWrapper(
        buffer, facts["encoding"], facts["errors"], "\n",
        facts["line_buffering"], facts["write_through"],
    )  # fmt: skip
    text.mode = facts["mode"]  # type: ignore[misc]  # as create_stdio() sets it; typeshed says read-only
    core.poke_int(raw, _DESCRIPTOR_AT, ("stdin", "stdout", "stderr").index(name))
    posix.close(stand_in)
    return text


def _stand_in(position: "int | None", mode: str) -> int:
    """A descriptor that can seek as the recorded one could, and stands where it stood: each layer asks at its start."""
    if position is None:
        ends = posix.pipe()
        posix.close(ends[mode == "rb"])
        return ends[mode == "wb"]
    descriptor = posix.memfd_create("stream")
    posix.lseek(descriptor, position, 0)
    return descriptor


def library_prefixes() -> "tuple[str, ...]":
    """Folders whose code is not the user's own."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    roots = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    return tuple(f"{root}/{sys.platlibdir}/{version}/" for root in sorted(roots))
