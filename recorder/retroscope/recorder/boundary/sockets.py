"""Sockets. In replay a socket is a real object of the real type that holds the recorded descriptor."""

from retroscope.recorder.boundary import files
from retroscope.recorder.boundary.declare import RERUN, RESULT, Module, Type, adapt, always, buffer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from retroscope.recorder.annotations import Args, Core, Kwargs

_core: "Core" = None


def _facts(socket: "Any") -> "Any":
    """Numbers as C has them: class socket of module socket makes an enum of each."""
    members = _raw(type(socket)).__dict__
    return (socket.fileno(), *(members[name].__get__(socket) for name in ("family", "type", "proto")))


def _fill(socket: "Any", value: "Any") -> None:
    descriptor, family, kind, protocol = value
    files.occupy(descriptor)
    members = _raw(type(socket)).__dict__
    family_at = _core.member_offset(members["family"])
    _core.poke_int(socket, family_at - 4, descriptor)
    _core.poke_int(socket, family_at, family)
    _core.poke_int(socket, _core.member_offset(members["type"]), kind)
    _core.poke_int(socket, _core.member_offset(members["proto"]), protocol)


def _raw(kind: type) -> "Any":
    return next(base for base in kind.__mro__ if base.__module__ == "_socket")


def _encode(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    return _facts(self)


def _decode(value: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> None:
    _fill(self, value)


def _make(kind: type, value: "Any", self: "Any") -> "Any":
    socket = _core.allocate(kind)
    _fill(socket, value)
    return socket


def _encode_scattered(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    return (result, [bytes(part)[: result[0]] for part in args[0]])


def _decode_scattered(value: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    result, parts = value
    left = result[0]
    for part, data in zip(args[0], parts):
        view = memoryview(part).cast("B")
        n = min(left, len(view))
        view[:n] = data[:n]
        left -= n
    return result


def _with_idna(call: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    """Names are encoded in C, while other threads run: the codec is looked up before, by the program."""
    import _codecs

    if any(isinstance(given, str) for given in (*args, *(kwargs or {}).values())):
        _core.visible(_codecs.lookup, ("idna",))
    return call(self, *args, **(kwargs or {}))


_PLAIN = (list, tuple, str, bytes, bytearray, memoryview, int)  # int: flags of enum are iterable


def _listed(call: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    """What generators of the program yield is asked of them before, visibly: the call would do it unseen."""
    lists = [
        _core.visible(list, (given,)) if hasattr(type(given), "__iter__") and not isinstance(given, _PLAIN) else given
        for given in args
    ]
    return call(self, *lists, **(kwargs or {}))


_RESOLVERS = ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr")

MODULES = [
    Module(
        "_socket",
        passing="htons htonl ntohs ntohl inet_aton inet_ntoa inet_pton inet_ntop CMSG_LEN CMSG_SPACE "
        "getdefaulttimeout setdefaulttimeout",
        special=dict.fromkeys(_RESOLVERS, always(_with_idna)),
        types=[
            Type(
                "socket",
                special={
                    "__init__": adapt(_encode, _decode),
                    "recv_into": buffer(0),
                    "recvfrom_into": buffer(0),
                    "recvmsg_into": adapt(_encode_scattered, _decode_scattered, wrap=_listed, index=-1),
                    "sendmsg": always(_listed),
                    "close": RERUN,
                    "detach": RERUN,
                    "timeout": RESULT,
                },
                passing="fileno",
                handle=(_facts, _make),
            )
        ],
    ),
]
