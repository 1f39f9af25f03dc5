"""pyzmq. libzmq's threads carry the messages: all that sockets do is outside, and in replay none of it runs.

A socket or context of a replay is a real object that stands for another's (pyzmq's `shadow`), so it never gets one of
libzmq's. Messages are always copied: sharing their memory needs a thread that is told when libzmq has sent them.
"""

import sys

from retroscope.recorder.boundary.declare import PASS, RESULT, Module, Policy, Type, adapt, buffer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from retroscope.recorder.annotations import Args, Core, Kwargs

_EXTENSION = "zmq.backend.cython._zmq"
_SHADOW = 1  # an address, which nothing reads

_core: "Core" = None


def _made(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> None:
    return None


def _make_context(value: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> None:
    sys.modules[_EXTENSION].Context.__init__(self, 1, _SHADOW)


def _make_socket(value: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> None:
    given = dict(zip(("context", "socket_type", "shadow", "copy_threshold"), args), **(kwargs or {}))
    given["shadow"] = _SHADOW
    sys.modules[_EXTENSION].Socket.__init__(self, **given)


def _ends(state: str) -> Policy:
    """A call that may set the attribute `state`."""

    def encode(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> bool:
        return bool(getattr(self, state))

    def decode(value: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> None:
        setattr(self, state, value)

    return adapt(encode, decode)


def _send(call: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    given = dict(zip(("data", "flags", "copy", "track"), args), **(kwargs or {}))
    package, data = sys.modules["zmq"], given["data"]
    is_frame = isinstance(data, sys.modules[_EXTENSION].Frame)
    if given.get("copy", True) and not is_frame:
        return call(self, data, given.get("flags", 0))
    if is_frame and given.get("track") and not data.tracker:
        raise ValueError("Not a tracked message")
    call(self, data.bytes if is_frame else data, given.get("flags", 0))
    return data.tracker if is_frame else package._FINISHED_TRACKER


def _copy(call: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> None:
    given = dict(zip(("data", "track", "copy", "copy_threshold"), args), **(kwargs or {}))
    given["copy"] = True
    call(self, **given)


def _encode_message(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    return result if isinstance(result, bytes) else (result.bytes, bool(result.more), bool(result.tracker))


def _decode_message(value: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    if isinstance(value, bytes):
        return value
    frame = sys.modules["zmq"].Frame(value[0], track=value[2], copy=True)
    frame.more = value[1]
    return frame


def _asked(args: "Args", kwargs: "Kwargs") -> "Any":
    """The pairs of sockets and flags that a poll is given."""
    return args[0] if args else (kwargs or {})["sockets"]


def _encode_ready(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "list[tuple[int | None, int, int]]":
    """Which of the sockets that were asked for, or which descriptor, and what it is ready for."""
    asked = [socket for socket, _ in _asked(args, kwargs)]
    places = {id(socket): place for place, socket in enumerate(asked)}
    return [
        (None, each, events) if isinstance(each, int) else (places[id(each)], 0, events) for each, events in result
    ]


def _decode_ready(value: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "list[tuple[Any, int]]":
    asked = _asked(args, kwargs)
    return [(descriptor if place is None else asked[place][0], events) for place, descriptor, events in value]


def _results(names: str) -> "dict[str, Policy | None]":
    """Cython's functions are at the boundary only by name."""
    return dict.fromkeys(names.split(), RESULT)


def _type(name: str, results: str, **special: "Policy") -> Type:
    return Type(name, methods=PASS, special={**_results(results), **special})


MODULES = [
    Module(
        _EXTENSION,
        special={
            **_results("curve_keypair curve_public has monitored_queue proxy proxy_steerable zmq_errno"),
            "zmq_poll": adapt(_encode_ready, _decode_ready),
        },
        types=[
            _type("Context", "get set underlying", __init__=adapt(_made, _make_context), term=_ends("closed")),
            _type(
                "Socket",
                "bind closed connect disconnect get join leave monitor set unbind underlying",
                __init__=adapt(_made, _make_socket),
                close=_ends("_closed"),
                send=Policy("RESULT", wrap=_send, index=-1),
                recv=adapt(_encode_message, _decode_message),
                recv_into=buffer(0),
            ),
            _type("Frame", "get set", __init__=Policy("KEEP", wrap=_copy, index=-1)),
        ],
    ),
]

LISTED = frozenset({"zmq"})
