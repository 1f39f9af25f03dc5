"""First file that a recorded or replaying interpreter runs: `python -S -P startup.py STREAM_FD CONFIG_FD`.

It loads the native core and our own modules privately (nothing enters sys.modules, nothing the program may
replace is used later), then hands over to `boot.start`, which never returns.
"""

import _imp
import gc
import sys

gc.disable()
del sys.modules["gc"]
_first = [None]  # what is made after it is ours
_classes = {id(object): object}  # of every Python
_waiting = [object]
for _kind in _waiting:
    for _each in type.__subclasses__(_kind):
        if id(_each) not in _classes:
            _classes[id(_each)] = _each
            _waiting.append(_each)
compile("", "", "exec")  # makes the types of syntax trees: now, and not only where a file of ours has no .pyc yet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


def _read(descriptor: int) -> bytes:
    import posix

    data = b""
    while piece := posix.pread(descriptor, 1 << 20, len(data)):
        data += piece
    posix.close(descriptor)
    return data


def _load_core(path: str) -> "ModuleType":
    spec = type(sys.__spec__)("retroscope.recorder._core", None, origin=path)
    return _imp.create_dynamic(spec)


def _load_importer(folder: str) -> "Any":
    """importer.py in a namespace of its own: this one, `__main__`, is cleared when the program gets its own."""
    loader = sys.modules["_frozen_importlib_external"].SourceFileLoader
    namespace: dict[str, Any] = {"__name__": "retroscope.recorder.importer"}
    exec(loader("importer", folder + "/importer.py").get_code("importer"), namespace)
    return namespace["Importer"](folder)


def _main() -> None:
    import marshal

    importer = _load_importer(sys.argv[0].rpartition("/")[0])
    importer.classes_before = _classes
    joined = importer.load("joined") if sys.argv[1][0] == "@" else None
    config = joined.configuration(sys.argv) if joined else marshal.loads(_read(int(sys.argv[2])))
    core = importer.loaded["_core"] = importer.unseen(_load_core, config["core"])
    core.collector_open(_first)
    stream = joined.ask(core, config) if joined else int(sys.argv[1])
    boot = importer.load("boot")
    boot.start(core, importer, stream, config)


_main()
