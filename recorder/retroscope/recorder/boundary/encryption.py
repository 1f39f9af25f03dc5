"""OpenSSL through `_ssl`. In replay contexts and connections are real ones, and no connection ever says anything: what
the other side and the random numbers decide is in the record. Sessions and certificates are empty shells."""

from retroscope.recorder.boundary.declare import PASS, RESULT, Module, Policy, Type, adapt, buffer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from retroscope.recorder.annotations import Args, Core, Kwargs

_core: "Core" = None

# --- connections


def _encode_connection(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> None:
    return None


def _connect(name: str) -> Policy:
    def make(value: None, self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
        """A session of the recording is a shell here: the real connection must not look into it."""
        given = {key: item for key, item in (kwargs or {}).items() if key != "session"}
        return getattr(self, name)(*args, **given)

    return adapt(_encode_connection, make)


def _encode_presence(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> bool:
    return result is not None


def _give_socket(present: bool, self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    """shutdown() returns the socket below, which is the owner: an ssl.SSLSocket."""
    return self.owner if present else None


def _make_shell(kind: type, value: "Any", self: "Any") -> "Any":
    return _core.allocate(kind)


def _nothing(shell: "Any") -> None:
    return None


# --- callbacks: contexts keep them, and call them while a connection speaks


def _kept(index: int, name: str) -> Policy:
    def wrap(call: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
        given, named = list(args), dict(kwargs or {})
        if len(given) > index and callable(given[index]):
            given[index] = _core.callback(given[index])
            _core.callbacks_report(True)
        elif callable(named.get(name)):
            named[name] = _core.callback(named[name])
            _core.callbacks_report(True)
        return call(self, *given, **named)

    return Policy("RERUN", wrap=wrap, index=-1)


def _shown() -> Policy:
    """What the program finds is its own function, not what stands for it."""

    def wrap(call: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
        return _core.callback_target(call(self))

    return Policy("KEEP", wrap=wrap, index=-1)


_LOOKS_OUTSIDE = """
    load_cert_chain load_verify_locations load_dh_params set_default_verify_paths cert_store_stats get_ca_certs
    session_stats
"""
_RANDOM = "RAND_bytes RAND_pseudo_bytes RAND_status RAND_add get_default_verify_paths _test_decode_cert"
_OF_A_REAL_ONE = "context owner server_side server_hostname"
_SLOTS = ("__repr__", "__hash__", "__eq__")

MODULES = [
    Module(
        "_ssl",
        functions=PASS,
        special=dict.fromkeys(_RANDOM.split(), RESULT),
        types=[
            Type(
                "_SSLContext",
                methods=PASS,
                special={
                    **dict.fromkeys(_LOOKS_OUTSIDE.split(), RESULT),
                    "_wrap_socket": _connect("_wrap_socket"),
                    "_wrap_bio": _connect("_wrap_bio"),
                    "keylog_filename": RESULT,
                    "keylog_filename=": RESULT,
                    "sni_callback": _shown(),
                    "sni_callback=": _kept(0, "callback"),
                    "_msg_callback": _shown(),
                    "_msg_callback=": _kept(0, "callback"),
                    "set_psk_client_callback": _kept(0, "callback"),
                    "set_psk_server_callback": _kept(0, "callback"),
                },
            ),
            Type(
                "_SSLSocket",
                attributes=RESULT,
                leads_to=("owner", "context"),
                special={
                    "read": buffer(1),
                    "shutdown": adapt(_encode_presence, _give_socket),
                    "session=": RESULT,
                    **dict.fromkeys(_OF_A_REAL_ONE.split(), PASS),
                },
            ),
            Type("SSLSession", attributes=RESULT, special={"__eq__": RESULT}, handle=(_nothing, _make_shell)),
            Type("Certificate", special=dict.fromkeys(_SLOTS, RESULT), handle=(_nothing, _make_shell)),
            Type("MemoryBIO", attributes=RESULT),
        ],
    ),
]
