"""Randomness below Python: what seeds itself from the operating system."""

from retroscope.recorder.boundary.declare import PASS, Module, Type, adapt


def _seeds_itself(self, args, kwargs):
    return not args or args[0] is None


def _encode_state(result, self, args, kwargs):
    state = self.getstate()
    return (b"".join(word.to_bytes(4, "little") for word in state[:-1]), state[-1])


def _decode_state(value, self, args, kwargs):
    words, position = value
    self.setstate((*(int.from_bytes(words[i : i + 4], "little") for i in range(0, len(words), 4)), position))


MODULES = [
    Module(
        "_random",
        functions=PASS,
        types=[Type("Random", methods=PASS, special={"seed": adapt(_encode_state, _decode_state, when=_seeds_itself)})],
    ),
    Module("_uuid"),
]
