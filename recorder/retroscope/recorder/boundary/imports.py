"""The import system: where a module was found, and its source. Both are recorded as decisions.

In replay, code is compiled from the recorded source; the cached code of this machine is used only when
the file here still has that very content. Cached code that may be of another source, see `_is_unchecked`, is
recorded itself.
"""

import posix
import sys
import time

from retroscope.recorder.boundary.declare import PASS, Module, Policy, Type, adapt
from retroscope.recorder.error_lines import put_back

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from retroscope.recorder.annotations import Args, Core, Kwargs

_external = sys.modules["_frozen_importlib_external"]
_warnings = sys.modules["_warnings"]
_core: "Core" = None
_began = _asked = 0  # when this process was started, and when it last asked for code; ns of Unix time


def bind(core: "Core") -> None:
    global _began
    _began = time.time_ns()


def _is_plain_finder(self: "Any", args: "Args", kwargs: "Kwargs") -> bool:
    return type(self) is _external.FileFinder


def _encode_spec(spec: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    if spec is None:
        return None
    loader = type(spec.loader).__name__ if spec.loader is not None else None
    locations = spec.submodule_search_locations
    return (loader, spec.origin, None if locations is None else list(locations))


def _decode_spec(value: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    if value is None:
        return None
    name, (loader, origin, locations) = args[0], value
    if loader is None:
        spec = sys.modules["_frozen_importlib"].ModuleSpec(name, None)
        spec.submodule_search_locations = locations
        return spec
    made = getattr(_external, loader)(name, origin)
    return _external.spec_from_file_location(name, origin, loader=made, submodule_search_locations=locations)


def _is_plain_loader(self: "Any", args: "Args", kwargs: "Kwargs") -> bool:
    global _asked
    _asked = time.time_ns()
    return type(self) is _external.SourceFileLoader


def _encode_code(code: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    path = self.get_filename(args[0])
    content = bytes(self.get_data(path))
    if isinstance(code, BaseException):
        return (path, content, _core.blake2b(content), None, code)
    if _is_unchecked(path):
        return (path, content, _core.blake2b(content), _marshal().dumps(code))
    return (path, content, _core.blake2b(content))


def _is_unchecked(path: str) -> bool:
    """May the cached code be of another source? So it is where it goes by a hash, which need not be looked at.

    And where the source was written after it: CPython compares whole seconds, and may take that for the same one. And
    where the program may have written it itself: since it began, and not by asking for the code just now.
    """
    try:
        descriptor = posix.open(_external.cache_from_source(path), posix.O_RDONLY | posix.O_CLOEXEC)
    except (OSError, NotImplementedError):  # the latter: sys.implementation.cache_tag is None
        return False
    try:
        head, written = posix.read(descriptor, 5), posix.fstat(descriptor).st_mtime_ns
    finally:
        posix.close(descriptor)
    may_be_own = _began <= written < _asked
    return len(head) == 5 and (bool(head[4] & 1) or may_be_own or written <= posix.stat(path).st_mtime_ns)


def _marshal() -> "Any":
    import marshal

    return marshal


def _decode_code(value: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    path, content, _, *rest = value
    if len(rest) == 1:
        return _marshal().loads(rest[0])
    filters = getattr(sys.modules.get("warnings") or _warnings, "filters", None)
    quiet = ("ignore", None, Warning, None, 0)  # what the compiler has warned of is a callback in the record
    if isinstance(filters, list):
        filters.insert(0, quiet)
    try:
        if rest:
            return _fail_again(self, args[0], content, rest[1]) or rest[1]
        if _has(self, path, content):
            return _cached(self, args[0])
        return compile(content, path, "exec", dont_inherit=True)
    finally:
        if isinstance(filters, list):
            filters.remove(quiet)


def _fail_again(loader: "Any", name: str, content: bytes, recorded: BaseException) -> "BaseException | None":
    """The error of compiling this, raised where CPython raises it: tracebacks show the frames of the import system."""

    class Recorded(_external.SourceLoader):  # type: ignore[misc, name-defined]
        def get_filename(self, name: str) -> str:
            return str(loader.get_filename(name))

        def get_data(self, path: str) -> bytes:
            return content

        def path_stats(self, path: str) -> "Any":
            raise OSError("there is no cache")

    try:
        Recorded().get_code(name)
    except BaseException as error:
        put_back(error, recorded, str(loader.get_filename(name)), content)
        return error
    return None  # it did not come from the source: a warning that was an error, a damaged cache


def _has(loader: "Any", path: str, content: bytes) -> bool:
    """Does the file here hold this?"""
    try:
        return bytes(loader.get_data(path)) == content
    except OSError:
        return False  # it is gone from this machine: the recorded source stands for it


def _cached(loader: "Any", name: str) -> "Any":
    """This machine's own cached code; nothing is written here."""
    kept = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        return loader.get_code(name)
    finally:
        sys.dont_write_bytecode = kept


def _is_sourceless(self: "Any", args: "Args", kwargs: "Kwargs") -> bool:
    return type(self) is _external.SourcelessFileLoader


def _encode_sourceless(code: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> bytes:
    return _marshal().dumps(code)  # type: ignore[no-any-return]


def _decode_sourceless(value: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    return _marshal().loads(value)


_compiles = Policy("SOURCE", encode=_encode_code, decode=_decode_code, when=_is_plain_loader)

MODULES = [
    Module(
        "_frozen_importlib_external",
        functions=PASS,
        types=[
            Type("FileFinder", methods=PASS,
                 special={"find_spec": adapt(_encode_spec, _decode_spec, when=_is_plain_finder)}),
            Type("SourceLoader", methods=PASS, special={"get_code": _compiles}),
            Type("SourcelessFileLoader", methods=PASS,
                 special={"get_code": adapt(_encode_sourceless, _decode_sourceless, when=_is_sourceless)}),
        ],
    ),
]
