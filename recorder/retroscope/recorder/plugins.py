"""Boundary files that packages ship themselves (docs/extensions.md).

A distribution names them in its entry points, group `retroscope.boundary`. They are looked for when the first extension
is loaded that no file of ours lists; in replay their text comes from the trace.
"""

import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from retroscope.recorder.annotations import Core
    from retroscope.recorder.importer import Importer

_GROUP = "[retroscope.boundary]"


def load(core: "Core", importer: "Importer") -> "Iterator[ModuleType]":
    """The modules, in the order of sys.path and then of name. A plug-in that cannot be run is told of in a note."""
    found = iter(()) if core.replaying() else _found()
    while True:
        path, content = core.own_source(next(found, ("", b"")))[:2]
        if not path:
            return
        try:
            yield _run(importer, path, content)
        except Exception as error:
            core.note(f"the boundary plug-in {path} cannot be used: {type(error).__name__}: {error}")


def _run(importer: "Importer", path: str, content: bytes) -> "ModuleType":
    module = importer.module("retroscope.plugin." + path)
    module.__dict__["__builtins__"] = importer.builtins
    exec(compile(content, path, "exec", dont_inherit=True), module.__dict__)
    module.MODULES  # noqa: B018 - what every boundary file has
    return module


def _found() -> "Iterator[tuple[str, bytes]]":
    """(path, text) of each plug-in."""
    for folder in list(sys.path):
        try:
            names = sorted(name for name in posix.listdir(folder or ".") if name.endswith(".dist-info"))
        except OSError:
            continue  # sys.path may name what is not there
        for name in names:
            for module in _named(_read(f"{folder}/{name}/entry_points.txt") or b""):
                path = f"{folder}/{module.replace('.', '/')}.py"
                content = _read(path)
                if content is not None:
                    yield path, content


def _named(text: bytes) -> "Iterator[str]":
    """The modules that a distribution's entry points name for us."""
    inside = False
    for line in text.decode("utf-8", "replace").splitlines():
        line = line.strip()
        if line.startswith("["):
            inside = line == _GROUP
        elif inside and "=" in line:
            yield line.partition("=")[2].strip()


def _read(path: str) -> "bytes | None":
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return None
    try:
        data = b""
        while piece := posix.read(descriptor, 1 << 20):
            data += piece
        return data
    finally:
        posix.close(descriptor)
