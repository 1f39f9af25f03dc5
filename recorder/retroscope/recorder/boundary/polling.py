"""Waiting for descriptors: select, poll, epoll."""

from retroscope.recorder.boundary import files
from retroscope.recorder.boundary.declare import RERUN, RESULT, Module, Type, adapt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from retroscope.recorder.annotations import Args, Core, Kwargs

_DESCRIPTOR_AT = 16  # offset of pyEpoll_Object.epfd, 64-bit
_core: "Core" = None


def _encode_ready(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    """What select.select returns are the very objects it was given: by position."""
    places: list[list[int]] = []
    for ready, asked in zip(result, args):
        asked = list(asked)
        places.append([next(i for i, one in enumerate(asked) if one is item) for item in ready])
    return places


def _decode_ready(places: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    ready = []
    for which, asked in zip(places, args):
        asked = list(asked)
        ready.append([asked[i] for i in which])
    return tuple(ready)


def _encode_epoll(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> int:
    return int(result.fileno())


def _decode_epoll(descriptor: int, self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    files.occupy(descriptor)
    made = _core.allocate(self)
    _core.poke_int(made, _DESCRIPTOR_AT, descriptor)
    return made


def _poll_type(module: "Any") -> type:
    return type(module.poll())


MODULES = [
    Module(
        "select",
        passing="poll",
        special={"select": adapt(_encode_ready, _decode_ready)},
        types=[
            Type(_poll_type, passing="register modify unregister"),
            Type(
                "epoll",
                attributes=RESULT,
                special={
                    "__new__": adapt(_encode_epoll, _decode_epoll),
                    "fromfd": adapt(_encode_epoll, _decode_epoll),
                    "close": RERUN,
                },
                passing="__enter__ __exit__",
            ),
        ],
    ),
]
