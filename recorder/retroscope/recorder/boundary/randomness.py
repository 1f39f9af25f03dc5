"""Randomness below Python: what seeds itself from the operating system."""

from retroscope.recorder.boundary.declare import PASS, Module, Type, adapt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from retroscope.recorder.annotations import Args, Kwargs


def _seeds_itself(self: "Any", args: "Args", kwargs: "Kwargs") -> bool:
    return not args or args[0] is None


def _raw(generator: "Any") -> "Any":
    """The C type below random.Random, whose state is the whole of it."""
    return next(base for base in type(generator).__mro__ if base.__module__ == "_random")


def _encode_state(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    state = _raw(self).getstate(self)
    return (b"".join(word.to_bytes(4, "little") for word in state[:-1]), state[-1])


def _decode_state(value: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> None:
    words, position = value
    numbers = (int.from_bytes(words[i : i + 4], "little") for i in range(0, len(words), 4))
    _raw(self).setstate(self, (*numbers, position))


MODULES = [
    Module(
        "_random",
        functions=PASS,
        types=[Type("Random", methods=PASS, special={"seed": adapt(_encode_state, _decode_state, when=_seeds_itself)})],
    ),
    Module("_uuid"),
]
