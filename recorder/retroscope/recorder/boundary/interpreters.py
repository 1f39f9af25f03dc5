"""Sub-interpreters: outside. What they, their channels and queues tell is recorded; none of their code is replayed."""

from retroscope.recorder.boundary.declare import PASS, RERUN, RESULT, Module, Type, adapt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from retroscope.recorder.annotations import Args, Core, Kwargs

_core: "Core" = None
_noted = False


def _note(self: "Any", args: "Args", kwargs: "Kwargs") -> bool:
    """Tells once."""
    global _noted
    if not _noted and not _core.replaying():
        _noted = True
        _core.note("sub-interpreters are recorded from outside: what they return, not what they run or print")
    return True


_creates = adapt(None, None, when=_note)


def _encode_interpreter(identifier: "Any") -> int:
    return int(identifier)


def _make_interpreter(kind: "Any", number: int, self: "Any") -> "Any":
    return kind(number, force=True)


def _encode_new(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> int:
    return int(result)


def _decode_new(number: int, self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    return self(number, force=True)


def _encode_namespace(namespace: "Any") -> "Any":
    return dict(vars(namespace))


def _make_namespace(kind: "Any", members: "Any", self: "Any") -> "Any":
    return kind(**members)


def _namespace_type(module: "Any") -> type:
    import sys

    return type(sys.implementation)


def _encode_channel(channel: "Any") -> "Any":
    return (int(channel), str(channel.end))


def _make_channel(kind: "Any", value: "Any", self: "Any") -> "Any":
    import sys

    number, end = value
    homes = ("_interpchannels", "_xxinterpchannels", "_xxsubinterpreters")
    module = next(sys.modules[name] for name in homes if name in sys.modules)
    ends = {"send": {"send": True}, "recv": {"recv": True}}.get(end, {})
    return module._channel_id(number, force=True, **ends)


_INTERPRETER = Type(
    "InterpreterID",
    methods=PASS,
    special={"__new__": adapt(_encode_new, _decode_new)},
    handle=(_encode_interpreter, _make_interpreter),
)
def _memory_type(module: "Any") -> type:
    return memoryview


def _encode_memory(memory: "Any") -> "Any":
    _core.note("memory that another interpreter shares is recorded as it was when it was received")
    return (bytes(memory), memory.readonly, memory.format, memory.shape)


def _make_memory(kind: "Any", value: "Any", self: "Any") -> "Any":
    content, readonly, form, shape = value
    return kind(content if readonly else bytearray(content)).cast("B").cast(form, shape)


_MEMORY = Type(_memory_type, methods=PASS, handle=(_encode_memory, _make_memory))
_NAMESPACE = Type(_namespace_type, methods=PASS, handle=(_encode_namespace, _make_namespace))
_CHANNEL = Type("ChannelID", methods=PASS, handle=(_encode_channel, _make_channel))

_TESTED = """
    destroy_interpreter exec_interpreter next_interpreter_id unused_interpreter_id interpreter_exists
    get_interp_settings get_interpreter_refcount link_interpreter_refcount unlink_interpreter_refcount
    interpreter_refcount_linked
"""

MODULES = [
    Module("_xxsubinterpreters", passing="is_shareable", special={"create": _creates}, types=[_INTERPRETER, _CHANNEL]),
    Module("_xxinterpchannels", types=[_CHANNEL]),
    Module("_interpreters", passing="is_shareable new_config capture_exception", special={"create": _creates},
           types=[_NAMESPACE]),
    Module("_interpchannels", special={"_register_end_types": RERUN}, types=[_CHANNEL, _MEMORY]),
    Module("_interpqueues", special={"_register_heap_types": RERUN}),
    Module(
        "_testcapi",
        functions=PASS,
        special={"run_in_subinterp": _creates, "run_in_subinterp_with_config": _creates},
    ),
    Module(
        "_testinternalcapi",
        functions=PASS,
        special={
            "run_in_subinterp_with_config": _creates,
            "create_interpreter": _creates,
            **dict.fromkeys(_TESTED.split(), RESULT),
        },
    ),
]
