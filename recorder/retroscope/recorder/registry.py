"""Puts the boundary in place: what is loaded already now, every C module as soon as it is loaded.

In: the domain files of `boundary/`. The order of patching is the same in recording and replay; each patch
is named in the stream.
"""

import sys

from retroscope.recorder.boundary import declare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from types import ModuleType
    from typing import Any

    from retroscope.recorder.annotations import Args, Core, Kwargs
    from retroscope.recorder.importer import Importer

DOMAINS = ("clocks", "randomness", "files", "descriptors", "limits", "processes", "sockets", "polling", "signals",
           "threads", "interpreter", "classes", "prompts", "imports", "databases", "encryption", "terminals", "screens",
           "faults", "accounts", "mappings", "sharing", "addresses", "memory", "interpreters", "windows", "testing",
           "packages", "cryptography", "arrow", "messaging")


class Registry:
    def __init__(self, core: "Core", importer: "Importer") -> None:
        self.core = core
        self.modules: dict[str, list[declare.Module]] = {}
        self.listed: set[str] = set()
        self.noted: set[str] = set()
        self.asked_plugins = False
        self.importer = importer
        for name in DOMAINS:
            self._add(importer.load("boundary." + name))

    def _add(self, domain: "ModuleType") -> None:
        """A file that has a `_core` is given it; one that has to do something before all else has a `bind`."""
        if "_core" in vars(domain):
            vars(domain)["_core"] = self.core
        if hasattr(domain, "bind"):
            domain.bind(self.core)
        for module in domain.MODULES:
            self.modules.setdefault(module.name, []).append(module)
        self.listed |= getattr(domain, "LISTED", frozenset())

    def module_loaded(self, module: "ModuleType", name: str) -> None:
        """A C module has just run its start-up code: its callables go behind the boundary."""
        if name == "gc":
            self.core.collector_show_module(module)
        for known in self.modules.get(name, ()):
            try:
                declare.apply(self.core, known, module)
            except (AttributeError, LookupError, TypeError, ValueError) as error:
                if name.partition(".")[0] in sys.stdlib_module_names:
                    raise
                self.core.note(f"the boundary file for {name} does not fit this release of the package: {error}")
        if name == "_ctypes":
            loads_libraries(self.core, self, module, "dlopen", "_ctypes.dlopen")

    def module_loads(self, name: str, path: str) -> None:
        """An extension is about to be loaded: packages may ship boundary files for it."""
        if not self.asked_plugins and name and not self.is_listed(name, path):
            self.asked_plugins = True
            for plugin in self.importer.load("plugins").load(self.core, self.importer):
                self._add(plugin)

    def is_recorded_below(self, name: str, path: str) -> bool:
        """Is what the library of this module asks of the C library an input? CPython's own modules are at the boundary
        above it; but through ctypes the program calls the C library itself."""
        return "/lib-dynload/" not in path or name == "_ctypes"

    def is_listed(self, name: str, origin: "str | None") -> bool:
        if name in self.modules or not origin or "/lib-dynload/" in origin or name.endswith("__mypyc"):
            return True
        return name.partition(".")[0] in self.listed

    def note_unlisted(self, name: str) -> None:
        """Once for each package."""
        package = name.partition(".")[0]
        if package not in self.noted:
            self.noted.add(package)
            self.core.note(
                f"extension {name} is not listed: what it does past Python and the C library, "
                "and in threads of its own, is not recorded"
            )


def take_over(core: "Core", importer: "Importer", native: str) -> None:
    """`native`: the path of the native core, which is installed beside the packages that Retroscope needs."""
    registry = Registry(core, importer)
    core.own_folder(importer.folder + "/")
    core.set_pickling(*_pickling(importer, native.rpartition("/retroscope/")[0]))
    for name in ("sys", "builtins", "posix", "time", "_io", "_thread", "_signal", "_imp"):
        registry.module_loaded(sys.modules[name], name)
    if hasattr(sys, "monitoring"):  # 3.12; it is in no table of modules
        registry.module_loaded(sys.monitoring, "sys.monitoring")
    for name, module in list(sys.modules.items()):
        if name.startswith("_frozen_importlib"):
            registry.module_loaded(module, name)
    _watch_imports(core, registry)
    _identities(core)


def _watch_imports(core: "Core", registry: Registry) -> None:
    """Every C module passes through these two; single-phase ones too (they run nothing there)."""

    def begins(self: "Any", args: "Args", kwargs: "Kwargs") -> bool:
        core.loading_begins()
        return True

    def fails(error: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> None:
        core.loading_ends()

    def loaded(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> None:
        core.loading_ends()
        module = args[0]
        spec = getattr(module, "__spec__", None)
        name = str(getattr(spec, "name", None) or getattr(module, "__name__", ""))  # _decimal calls itself decimal
        registry.module_loaded(module, name)
        origin = getattr(spec, "origin", None)
        if not registry.is_listed(name, origin if origin != "built-in" else None):
            registry.note_unlisted(name)

    import _imp

    for attribute in ("exec_dynamic", "exec_builtin"):
        core.patch(getattr(_imp, attribute), _imp, attribute, "_imp." + attribute, core.HOOK,
                   when=begins, encode=loaded, decode=fails)
    loads_libraries(core, registry, _imp, "create_dynamic", "_imp.create_dynamic")


def loads_libraries(core: "Core", registry: Registry, owner: "Any", attribute: str, name: str) -> None:
    """`attribute` of `owner` loads the C library that its first argument names. It may use one thread, as in replay
    (loading.c), and what it asks of the C library is at the boundary (foreign.h)."""

    def begins(self: "Any", args: "Args", kwargs: "Kwargs") -> bool:
        path, module = getattr(args[0], "origin", args[0]), str(getattr(args[0], "name", ""))
        asked = core.loading_begins(module == "readline")
        if asked and not core.replaying():
            core.note(f"{asked}: replay computes in one thread, so sums of floats may differ in their last bits")
        if isinstance(path, str) and "/" in path:
            registry.module_loads(module, path)
            core.foreign_load(path, not registry.is_recorded_below(module, path))
        return True

    def ends(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> None:
        core.loading_ends()
        if isinstance(args[0], str) and args[0] and "/" not in args[0]:
            core.foreign_load("", False)  # the loader has found it by its name

    core.patch(getattr(owner, attribute), owner, attribute, name, core.HOOK, when=begins, encode=ends, decode=ends)


def _identities(core: "Core") -> None:
    import gc

    class Sample:
        def method(self) -> "Iterator[None]":
            yield

        async def coroutine(self) -> "AsyncIterator[None]":
            yield

    sample = Sample()
    generator = sample.method()
    weak = type(sys.modules["_weakref"].ref(Sample))
    proxies = (sys.modules["_weakref"].ProxyType, sys.modules["_weakref"].CallableProxyType)
    cell = (lambda: sample).__closure__[0]  # type: ignore[index]
    slot = type(sample.__str__)
    kinds = (object, type(take_over), type(generator), type(sample.coroutine()), type(len), type(cell), weak, *proxies,
             slot, type(take_over.__code__), type(sys._getframe()), type(memoryview(b"")), type(_coroutine()),
             type(sys.modules["_thread"].allocate_lock()), type(sys.modules["_thread"].RLock()))  # fmt: skip
    core.collector_take_over(gc)
    core.identity_take_over(Sample, slot, gc.get_objects())
    core.address_take_over(kinds)


def _coroutine() -> "Any":
    async def empty() -> None:
        pass

    coroutine = empty()
    coroutine.close()
    return coroutine


def _leave_no_trace(cloudpickle: "Any") -> None:
    """Its private copies of two modules took hold of the program: of its stderr, and of its end."""
    import atexit

    cloudpickle.threading._main_thread._stderr = None
    atexit.unregister(cloudpickle.logging.shutdown)


def _import_from(importer: "Importer", folder: str, name: str) -> "Any":
    """Imports it also where the program's sys.path has no such folder: -S, and what programs do with it."""
    path = sys.path
    sys.path = [*path, folder]
    try:
        return importer.real_import(name)
    finally:
        sys.path = path


def _pickling(importer: "Importer", folder: str) -> "tuple[Callable[[Any], bytes], Callable[[bytes], Any]]":
    """cloudpickle, loaded when a value has no native form, and never seen by the program. `folder`: of packages."""
    loaded: list[Any] = []

    def cloudpickle() -> "Any":
        if not loaded:
            package = importer.unseen(_import_from, importer, folder, "cloudpickle")
            _leave_no_trace(package.cloudpickle)
            loaded.append(package)
        return loaded[0]

    return (lambda value: cloudpickle().dumps(value)), (lambda data: cloudpickle().loads(data))
