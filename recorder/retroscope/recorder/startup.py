"""First file that a recorded or replaying interpreter runs: `python -S -P startup.py STREAM_FD CONFIG_FD`.

It loads the native core and our own modules privately (nothing enters sys.modules, nothing the program may
replace is used later), then hands over to `boot.start`, which never returns.
"""

import _imp
import sys


_PACKAGES = ("boundary",)


class _Importer:
    """Our own modules, kept apart from the program's; they see builtins of their own."""

    def __init__(self, folder):
        import builtins

        self.folder = folder
        self.loaded = {}
        self.builtins = dict(vars(builtins))
        self.real_import = builtins.__import__
        self.builtins["__import__"] = self.import_module
        self.loader = sys.modules["_frozen_importlib_external"].SourceFileLoader
        self.module = type(sys)

    def import_module(self, name, globals=None, locals=None, fromlist=(), level=0):
        prefix = "retroscope.recorder."
        if not name.startswith(prefix):
            return self.real_import(name, globals, locals, fromlist, level)
        name = name[len(prefix) :]
        if name not in _PACKAGES:
            return self.load(name)
        package = self.module(name)
        for item in fromlist:
            setattr(package, item, self.load(f"{name}.{item}"))
        return package

    def load(self, name):
        found = self.loaded.get(name)
        if found is None:
            path = self.folder + "/" + name.replace(".", "/") + ".py"
            found = self.loaded[name] = self.module("retroscope.recorder." + name)
            found.__dict__["__builtins__"] = self.builtins
            exec(self.loader(found.__name__, path).get_code(found.__name__), found.__dict__)
        return found


def _read(descriptor):
    import posix

    data = b""
    while piece := posix.pread(descriptor, 1 << 20, len(data)):
        data += piece
    posix.close(descriptor)
    return data


def _load_core(path):
    spec = type(sys.__spec__)("retroscope.recorder._core", None, origin=path)
    return _imp.create_dynamic(spec)


def _main():
    import marshal

    stream, config = int(sys.argv[1]), marshal.loads(_read(int(sys.argv[2])))
    importer = _Importer(sys.argv[0].rpartition("/")[0])
    core = importer.loaded["_core"] = _load_core(config["core"])
    boot = importer.load("boot")
    boot.start(core, importer, stream, config)


_main()
