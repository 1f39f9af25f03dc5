"""Imports our own modules in the user's interpreter: kept apart from the program's, with builtins of their own."""

import builtins
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import ModuleType
    from typing import Any

_PACKAGES = ("boundary",)


class Importer:
    """Our own modules, kept apart from the program's; they see builtins of their own."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.loaded: dict[str, ModuleType] = {}
        self.classes_before: dict[int, type] = {}  # by id: those that every Python has when it begins
        self.builtins = dict(vars(builtins))
        self.real_import = builtins.__import__
        self.builtins["__import__"] = self.import_module
        self.loader = sys.modules["_frozen_importlib_external"].SourceFileLoader
        self.module = type(sys)

    def import_module(
        self,
        name: str,
        globals: "Mapping[str, object] | None" = None,
        locals: "Mapping[str, object] | None" = None,
        fromlist: "Sequence[str]" = (),
        level: int = 0,
    ) -> "Any":
        prefix = "retroscope.recorder."
        if not name.startswith(prefix):
            return self.unseen(self.real_import, name, globals, locals, fromlist, level)
        name = name[len(prefix) :]
        if name not in _PACKAGES:
            return self.load(name)
        package = self.module(name)
        for item in fromlist:
            setattr(package, item, self.load(f"{name}.{item}"))
        return package

    def unseen(self, function: "Callable[..., Any]", *args: "Any") -> "Any":
        """Calls it; modules it loads are ours alone: the program will load its own, and ask itself where to look."""
        caches: tuple[dict[str, Any], ...] = (sys.modules, sys.path_importer_cache)
        before = [set(cache) for cache in caches]
        try:
            return function(*args)
        finally:
            for cache, known in zip(caches, before):
                for name in set(cache) - known:
                    del cache[name]

    def load(self, name: str) -> "ModuleType":
        found = self.loaded.get(name)
        if found is None:
            path = self.folder + "/" + name.replace(".", "/") + ".py"
            found = self.loaded[name] = self.module("retroscope.recorder." + name)
            found.__dict__["__builtins__"] = self.builtins
            exec(self.loader(found.__name__, path).get_code(found.__name__), found.__dict__)
        return found
