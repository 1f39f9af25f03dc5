"""What processes share: semaphores (`_multiprocessing.SemLock`) and the names of shared memory.

The state of a semaphore lies in the system: all its methods are asked outside. In replay the object is empty but for
the members that Python code reads.
"""

from retroscope.recorder.boundary.declare import RESULT, Module, Type, adapt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from retroscope.recorder.annotations import Args, Core, Kwargs

_core: "Core" = None


def _encode(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    return (result.handle, result.kind, result.maxvalue, result.name)


def _decode(value: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    made = _core.allocate(self)
    members = self.__mro__[-2].__dict__
    for name, each in zip(("handle", "kind", "maxvalue"), value):
        _core.set_member(made, members[name], each)
    if value[3] is not None:
        _core.set_text(made, members["name"], value[3])
    return made


MODULES = [
    Module(
        "_multiprocessing",
        types=[Type("SemLock", special={"__new__": adapt(_encode, _decode), "_rebuild": adapt(_encode, _decode)})],
    ),
    Module("_posixshmem", special={"shm_open": RESULT, "shm_unlink": RESULT}),
]
