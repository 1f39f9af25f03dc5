"""Randomness below Python: what seeds itself from the operating system."""

from retroscope.recorder.boundary.declare import PASS, Module, Type, adapt


def _seeds_itself(self, args, kwargs):
    return not args or args[0] is None


def _raw(generator):
    """The C type below random.Random, whose state is the whole of it."""
    return next(base for base in type(generator).__mro__ if base.__module__ == "_random")


def _encode_state(result, self, args, kwargs):
    state = _raw(self).getstate(self)
    return (b"".join(word.to_bytes(4, "little") for word in state[:-1]), state[-1])


def _decode_state(value, self, args, kwargs):
    words, position = value
    _raw(self).setstate(self, (*(int.from_bytes(words[i : i + 4], "little") for i in range(0, len(words), 4)), position))


MODULES = [
    Module(
        "_random",
        functions=PASS,
        types=[Type("Random", methods=PASS, special={"seed": adapt(_encode_state, _decode_state, when=_seeds_itself)})],
    ),
    Module("_uuid"),
]
