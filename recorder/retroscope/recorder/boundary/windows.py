"""Tk through `_tkinter`. In replay there is no Tcl: applications and Tcl objects are empty shells, every method is at
the boundary, and commands that Tcl calls are called as the recording says."""

from retroscope.recorder.boundary.declare import PASS, RESULT, Module, Policy, Type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from retroscope.recorder.annotations import Args, Core, Kwargs

_core: "Core" = None
_shells: "list[Any]" = []  # they must not die: their C code would free what they do not have
_commands: "dict[str, Any]" = {}  # in replay: what Tcl would keep, by name
_timers: "list[Any]" = []


def _nothing(shell: "Any") -> None:
    return None


def _make_shell(kind: type, value: "Any", self: "Any") -> "Any":
    _shells.append(_core.allocate(kind))
    return _shells[-1]


def _create_command(call: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    if len(args) != 2 or kwargs or not callable(args[1]):
        return call(self, *args, **(kwargs or {}))
    name, command = args[0], _core.callback(args[1])
    done = call(self, name, command)
    if _core.replaying():
        _commands[name] = command
    return done


def _delete_command(call: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    done = call(self, *args, **(kwargs or {}))
    if args:
        _commands.pop(args[0], None)
    return done


def _kept(index: int) -> Policy:
    """Takes a callback as argument `index`, for good."""

    def wrap(call: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
        given = list(args)
        if len(given) > index and callable(given[index]):
            given[index] = _core.callback(given[index])
            if _core.replaying():
                _timers.append(given[index])
        return call(self, *given, **(kwargs or {}))

    return Policy("RESULT", wrap=wrap, index=-1)


_SLOTS = ("__str__", "__repr__", "__eq__")

MODULES = [
    Module(
        "_tkinter",
        passing="_flatten setbusywaitinterval getbusywaitinterval",
        types=[
            Type("Tcl_Obj", attributes=RESULT, special=dict.fromkeys(_SLOTS, RESULT), handle=(_nothing, _make_shell)),
            Type(
                "TkappType",
                special={
                    "createcommand": Policy("RESULT", wrap=_create_command, index=-1),
                    "deletecommand": Policy("RESULT", wrap=_delete_command, index=-1),
                    "createfilehandler": _kept(2),
                    "createtimerhandler": _kept(1),
                    "settrace": _kept(0),
                },
                handle=(_nothing, _make_shell),
            ),
            Type("TkttType", special={"__repr__": PASS}, handle=(_nothing, _make_shell), prints=True),
        ],
    ),
]
