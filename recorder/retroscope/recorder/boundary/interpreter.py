"""What the interpreter tells of itself and of memory."""

from retroscope.recorder.boundary.declare import ALONE, PASS, RERUN, RESULT, Module, Policy, Type, adapt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from retroscope.recorder.annotations import Args, Core, Kwargs

_core: "Core" = None


def _code_type(module: "Any") -> type:
    return type(_code_type.__code__)


def _key(code: "Any") -> "Any":
    """What names a profiled function in recording and replay; a built-in one has a name already."""
    if isinstance(code, str):
        return code
    return (code.co_filename, code.co_firstlineno, code.co_qualname, next(iter(code.co_positions()), None))


def _encode_profile(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    return [
        (_key(entry[0]), *entry[1:5], entry[5] and [(_key(callee[0]), *callee[1:]) for callee in entry[5]])
        for entry in result
    ]


def _decode_profile(value: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    """The recorded numbers, in the recorded order; the code objects are those that were profiled here."""
    import _lsprof

    here = _lsprof.Profiler.getstats(self)
    codes = {_key(entry[0]): entry[0] for entry in here}
    codes.update((_key(callee[0]), callee[0]) for entry in here for callee in entry[5] or ())
    made = []
    for key, *numbers, callees in value:
        inner = callees and [_lsprof.profiler_subentry((codes[name], *rest)) for name, *rest in callees]
        made.append(_lsprof.profiler_entry((codes[key], *numbers, inner)))
    return made


def _encode_idents(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    return list(result)


def _frames_of(idents: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    """The threads that the recording found, in its order; where the calling thread stands, our own frame is on top."""
    import sys

    here, own = sys._current_frames(), sys._getframe()
    return {ident: own.f_back if here[ident] is own else here[ident] for ident in idents}


def _exceptions_of(idents: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    import sys

    here = sys._current_exceptions()
    return {ident: here[ident] for ident in idents}


def _exchanged(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> None:
    _core.tracer_exchanged()


_exchanges_tracer = Policy("HOOK", encode=_exchanged)

_of_anything = Policy("RESULT", index=1)  # an address that C code gave is an int, and another one in replay

_TRAMPOLINES = ("activate_stack_trampoline", "deactivate_stack_trampoline", "is_stack_trampoline_active")

MODULES = [
    Module(
        "builtins",
        functions=PASS,
        special={"id": _of_anything},
        types=[Type(_code_type, methods=PASS, special={"_co_code_adaptive": RESULT})],
    ),
    Module(
        "sys",
        functions=PASS,
        special={
            "getrefcount": RESULT,
            "getallocatedblocks": RESULT,
            "_debugmallocstats": RESULT,
            "settrace": _exchanges_tracer,
            "_current_frames": adapt(_encode_idents, _frames_of),
            "_current_exceptions": adapt(_encode_idents, _exceptions_of),
            **dict.fromkeys(_TRAMPOLINES, ALONE),  # they write a file for perf
        },
    ),
    Module(
        "sys.monitoring",  # a tool of ours is in use in replay, and sometimes while recording
        functions=PASS,
        special=dict.fromkeys(("get_tool", "get_events", "get_local_events", "_all_events"), RESULT),
    ),
    Module(
        "gc",
        functions=PASS,
        special={
            "collect": RERUN,
            **dict.fromkeys(("get_count", "get_freeze_count", "get_stats", "is_tracked"), RESULT),
        },
    ),
    Module(
        "_lsprof",
        functions=PASS,
        types=[Type("Profiler", methods=PASS, special={"getstats": adapt(_encode_profile, _decode_profile)})],
    ),
    Module(
        "coverage.tracer",
        functions=PASS,
        types=[Type("CTracer", methods=PASS, special={"start": _exchanges_tracer, "stop": _exchanges_tracer})],
    ),
]
