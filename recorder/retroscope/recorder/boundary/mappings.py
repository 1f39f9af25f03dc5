"""Memory maps. In replay a map of a file is an anonymous one that holds what the file held when it was mapped.

What another process writes into a shared map later is not seen.
"""

from retroscope.recorder.boundary.declare import PASS, RERUN, RESULT, Module, Type, adapt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from retroscope.recorder.annotations import Args, Core, Kwargs

_ACCESS_AT = 72  # offset of mmap_object.access, 3.11 to 3.13, 64-bit
_core: "Core" = None


def bind(core: "Core") -> None:
    global _core
    _core = core


def _maps_file(self: "Any", args: "Args", kwargs: "Kwargs") -> bool:
    return bool((args[0] if args else (kwargs or {}).get("fileno", -1)) != -1)


def _access(args: "Args", kwargs: "Kwargs") -> "Any":
    return (kwargs or {}).get("access", args[4] if len(args) > 4 else 0)


def _encode(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    return (len(result), bytes(memoryview(result)))


def _decode(value: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    length, content = value
    made = self.__new__(self, -1, length)
    made[:] = content
    _core.poke_int(made, _ACCESS_AT, _access(args, kwargs))
    return made


MODULES = [
    Module(
        "mmap",
        functions=PASS,
        types=[
            Type("mmap", methods=PASS,
                 special={"__new__": adapt(_encode, _decode, when=_maps_file), "flush": RESULT, "size": RESULT,
                          "madvise": RESULT, "close": RERUN}),
        ],
    ),
]
