"""Bytes to values, without running or importing anything the trace names (docs/architecture.md, Seam 2).

Plain data comes back as itself; what would need the recorded program's types comes back as one of the classes here,
which only describe. Sizes are checked against what is there before anything is allocated.
"""

from __future__ import annotations

import datetime
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MOST_DEPTH = 400  # nesting, as in recorder/native-core/decode.c
MOST_STEPS = 4  # of a reference, as in recorder/native-core/reference.h
MOST_PICKLE_READ = 1 << 20  # bytes of a pickle that are looked through for names


class MalformedValue(ValueError):
    """The bytes are not an encoded value; the reader of the trace turns this into DamagedTrace."""


@dataclass(frozen=True, slots=True, eq=False)
class StructSequence:
    """A structseq such as os.stat_result: all fields, hidden ones too."""

    type_name: str
    fields: tuple[object, ...]

    def __repr__(self) -> str:
        return f"{self.type_name}{self.fields!r}"


@dataclass(frozen=True, slots=True, eq=False)
class RecordedException:
    type_name: str
    args: object
    attributes: object

    def __repr__(self) -> str:
        if isinstance(self.args, tuple):
            return f"{self.type_name}({', '.join(map(repr, self.args))})"
        return f"{self.type_name}({self.args!r})"


_OUTCOME, _REGISTER = 1 << 31, 1 << 30  # bits of a reference's first step, as in recorder/native-core/reference.h
_REGISTERS = ("audit hooks", "hooks before a fork", "hooks after a fork")


@dataclass(frozen=True, slots=True, eq=False)
class ArgumentReference:
    """An object that the call itself knows; `path` leads to it: 0 is self, i the i-th argument, then items of it."""

    path: tuple[int, ...]

    def __repr__(self) -> str:
        first, *items = self.path
        if first & _OUTCOME:
            name = f"outcome {first & ~_OUTCOME} of its callbacks"
        elif first & _REGISTER:
            name = dict(enumerate(_REGISTERS)).get(first & ~_REGISTER, "hooks")
        else:
            name = "self" if first == 0 else f"argument {first}"
        for item in items:
            name = f"item {item} of {name}"
        return f"<{name}>"


@dataclass(frozen=True, slots=True, eq=False)
class Global:
    """A class or function of the recorded program, as module:qualname."""

    name: str

    def __repr__(self) -> str:
        return f"<{self.name}>"


@dataclass(frozen=True, slots=True, eq=False)
class Handle:
    """An object of a C type that the boundary stands in for, with its members."""

    type_name: str
    members: object

    def __repr__(self) -> str:
        return f"<{self.type_name} {self.members!r}>"


@dataclass(frozen=True, slots=True, eq=False)
class Pickled:
    """A pickle that was not and must not be loaded; `names` are the globals it mentions, as far as can be read."""

    size: int
    names: tuple[str, ...]

    def __repr__(self) -> str:
        what = " of " + ", ".join(self.names) if self.names else ""
        return f"<pickle{what}, {self.size} bytes>"


@dataclass(frozen=True, slots=True, eq=False)
class Unrecordable:
    """The program got an object here that could not be kept."""

    type_name: str

    def __repr__(self) -> str:
        return f"<{self.type_name}, not recorded>"


def pickle_names(data: bytes, most: int = 8) -> tuple[str, ...]:
    """The globals that a pickle names, in order, without loading it; stops quietly where it cannot be read."""
    import pickletools

    names: list[str] = []
    strings: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(data[:MOST_PICKLE_READ]):
            name = None
            if opcode.name == "GLOBAL" and isinstance(argument, str):
                name = argument.replace(" ", ".")
            elif opcode.name == "STACK_GLOBAL" and len(strings) >= 2:
                name = ".".join(strings[-2:])
            elif isinstance(argument, str):
                strings = [*strings[-1:], argument]
            if name is not None and name not in names:
                names.append(name)
            if len(names) >= most:
                break
    except Exception:  # whatever a hostile pickle provokes: the names found so far are the answer
        return tuple(names)
    return tuple(names)


_U32 = struct.Struct("<I")
_I64 = struct.Struct("<q")
_F64 = struct.Struct("<d")
_COMPLEX = struct.Struct("<dd")


class Decoder:
    """Decodes values from `data`, from offset `at` on; `at` moves behind what was decoded."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    def value(self) -> object:
        """The next value; MalformedValue when there is none.

        Without recursion: values nest deeper than Python's stack allows.
        """
        open_containers: list[tuple[Callable[[list[object]], object], int, list[object]]] = []
        while True:
            done = self._scalar_or_container(open_containers)
            if done is _OPENED:
                continue
            while open_containers:
                build, count, items = open_containers[-1]
                items.append(done)
                if len(items) < count:
                    break
                open_containers.pop()
                done = build(items)
            else:
                return done

    def _scalar_or_container(
        self, open_containers: list[tuple[Callable[[list[object]], object], int, list[object]]]
    ) -> object:
        """The next value if it is whole; _OPENED when it is a container whose items follow."""
        if self.at >= len(self.data):
            raise MalformedValue("a value is missing")
        mark = self.data[self.at]
        self.at += 1
        read = _SCALARS.get(mark)
        if read is not None:
            return read(self)
        opening = _CONTAINERS.get(mark)
        if opening is None:
            raise MalformedValue(f"no value begins with byte {mark:#04x}")
        count, build = opening(self)
        if len(self.data) - self.at < count:
            raise MalformedValue("a container states more items than there are bytes")
        if not count:
            return build([])
        if len(open_containers) == MOST_DEPTH:
            raise MalformedValue("values are nested too deeply")
        open_containers.append((build, count, []))
        return _OPENED

    def unpack(self, form: struct.Struct) -> tuple[Any, ...]:
        if len(self.data) - self.at < form.size:
            raise MalformedValue("a value is cut short")
        fields = form.unpack_from(self.data, self.at)
        self.at += form.size
        return fields

    def number(self) -> int:
        (number,) = self.unpack(_U32)
        assert isinstance(number, int)
        return number

    def span(self) -> bytes:
        """A length and that many bytes."""
        size = self.number()
        if len(self.data) - self.at < size:
            raise MalformedValue("a value is cut short")
        self.at += size
        return self.data[self.at - size : self.at]

    def text(self) -> str:
        try:
            return self.span().decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise MalformedValue(f"text is not UTF-8: {error.reason}") from None


_OPENED = object()


def _make_dict(parts: list[object]) -> dict[object, object]:
    try:
        return dict(zip(parts[::2], parts[1::2], strict=True))
    except TypeError:
        raise MalformedValue("a key of a dict cannot be a key") from None


def _make_set(items: list[object]) -> set[object]:
    try:
        return set(items)
    except TypeError:
        raise MalformedValue("an item of a set cannot be in a set") from None


def _date(decoder: Decoder) -> datetime.date:
    """From the state that `date` and `datetime` pickle."""
    state = decoder.span()
    if len(state) not in (4, 10):
        raise MalformedValue("a date has neither 4 nor 10 bytes")
    year, month, day = state[0] << 8 | state[1], state[2], state[3]
    try:
        if len(state) == 4:
            return datetime.date(year, month, day)
        micros = state[7] << 16 | state[8] << 8 | state[9]
        fold, month = month >> 7, month & 0x7F
        return datetime.datetime(year, month, day, state[4], state[5], state[6], micros, fold=fold)
    except ValueError:
        raise MalformedValue("a date is none") from None


def _pickled(decoder: Decoder) -> Pickled:
    data = decoder.span()
    return Pickled(len(data), pickle_names(data))


def _path_reference(decoder: Decoder) -> ArgumentReference:
    steps = decoder.number()
    if not 0 < steps <= MOST_STEPS:
        raise MalformedValue("a reference has no steps, or too many")
    return ArgumentReference(tuple(decoder.number() for _ in range(steps)))


def _structseq(decoder: Decoder) -> tuple[int, Callable[[list[object]], object]]:
    name = decoder.text()
    return decoder.number(), lambda items: StructSequence(name, tuple(items))


def _exception(decoder: Decoder) -> tuple[int, Callable[[list[object]], object]]:
    name = decoder.text()
    return 2, lambda items: RecordedException(name, *items)


def _handle(decoder: Decoder) -> tuple[int, Callable[[list[object]], object]]:
    name = decoder.text()
    return 1, lambda items: Handle(name, *items)


_SCALARS: dict[int, Callable[[Decoder], object]] = {
    ord("N"): lambda decoder: None,
    ord("T"): lambda decoder: True,
    ord("F"): lambda decoder: False,
    ord("i"): lambda decoder: decoder.unpack(_I64)[0],
    ord("I"): lambda decoder: int.from_bytes(decoder.span(), "little", signed=True),
    ord("f"): lambda decoder: decoder.unpack(_F64)[0],
    ord("c"): lambda decoder: complex(*decoder.unpack(_COMPLEX)),
    ord("s"): Decoder.text,
    ord("b"): Decoder.span,
    ord("B"): lambda decoder: bytearray(decoder.span()),
    ord("A"): lambda decoder: ArgumentReference((decoder.number(),)),
    ord("p"): _path_reference,
    ord("g"): lambda decoder: Global(decoder.text()),
    ord("D"): _date,
    ord("P"): _pickled,
    ord("U"): lambda decoder: Unrecordable(decoder.text()),
}
_CONTAINERS: dict[int, Callable[[Decoder], tuple[int, Callable[[list[object]], object]]]] = {
    ord("("): lambda decoder: (decoder.number(), tuple),
    ord("["): lambda decoder: (decoder.number(), list),
    ord("{"): lambda decoder: (2 * decoder.number(), _make_dict),
    ord("<"): lambda decoder: (decoder.number(), _make_set),
    ord(">"): lambda decoder: (decoder.number(), lambda items: frozenset(_make_set(items))),
    ord("S"): _structseq,
    ord("x"): _exception,
    ord("H"): _handle,
}


def decode_value(data: bytes, at: int = 0) -> object:
    """The one value that `data` holds from `at` on; MalformedValue when there is less or more."""
    decoder = Decoder(data, at)
    value = decoder.value()
    if decoder.at != len(data):
        raise MalformedValue("bytes follow the value")
    return value
