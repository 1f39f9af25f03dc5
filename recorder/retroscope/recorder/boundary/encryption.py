"""OpenSSL through `_ssl`. A context is a real one in replay, with nothing loaded; a connection is an empty shell of the
real type, and everything that would look into it is at the boundary."""

from retroscope.recorder.boundary.declare import PASS, RESULT, Module, Type, adapt, buffer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_core: "Any" = None
_made: "dict[int, tuple[Any, Any]]" = {}  # replay: connection by id → its context and its socket


def bind(core: "Any") -> None:
    global _core
    _core = core


def _encode_connection(result: "Any", self: "Any", args: "tuple[Any, ...]", kwargs: "Any") -> None:
    return None


def _make_connection(value: None, self: "Any", args: "tuple[Any, ...]", kwargs: "Any") -> "Any":
    import _ssl

    connection = _core.allocate(_ssl._SSLSocket)  # type: ignore[attr-defined]
    _made[id(connection)] = (self, args[0])
    return connection


def _encode_presence(result: "Any", self: "Any", args: "tuple[Any, ...]", kwargs: "Any") -> bool:
    return result is not None


def _give_context(present: bool, self: "Any", args: "tuple[Any, ...]", kwargs: "Any") -> "Any":
    return _made[id(self)][0] if present else None


def _give_socket(present: bool, self: "Any", args: "tuple[Any, ...]", kwargs: "Any") -> "Any":
    return _made[id(self)][1] if present else None


_connects = adapt(_encode_connection, _make_connection)

MODULES = [
    Module(
        "_ssl",
        functions=PASS,
        special={
            "RAND_bytes": RESULT,
            "RAND_pseudo_bytes": RESULT,
            "RAND_status": RESULT,
            "RAND_add": RESULT,
            "get_default_verify_paths": RESULT,
            "_test_decode_cert": RESULT,
        },
        types=[
            Type(
                "_SSLContext",
                methods=PASS,
                special={
                    "_wrap_socket": _connects,
                    "_wrap_bio": _connects,
                    "load_cert_chain": RESULT,
                    "load_verify_locations": RESULT,
                    "load_dh_params": RESULT,
                    "set_default_verify_paths": RESULT,
                    "cert_store_stats": RESULT,
                    "get_ca_certs": RESULT,
                    "session_stats": RESULT,
                    "get_ciphers": RESULT,
                },
            ),
            Type(
                "_SSLSocket",
                attributes=RESULT,
                special={
                    "read": buffer(1),
                    "shutdown": adapt(_encode_presence, _give_socket),
                    "context": adapt(_encode_presence, _give_context),
                },
            ),
            Type("MemoryBIO", attributes=RESULT),
        ],
    ),
]
