"""How observed values are shown: docs/observations.md once more, written from its text, in Python."""

import types

MOST_BYTES, MOST_ITEMS, MOST_DEPTH = 120, 10, 4


class Cut(Exception):
    """No more fits."""


class Text:
    def __init__(self):
        self.data = b""

    def add(self, text):
        data = text.encode("utf-8", "surrogatepass")
        if len(self.data) + len(data) > MOST_BYTES:
            room = MOST_BYTES - len(self.data)
            while room > 0 and data[room] & 0xC0 == 0x80:
                room -= 1
            self.data += data[:room]
            raise Cut
        self.data += data


def type_name(kind):
    module = type.__dict__["__module__"].__get__(kind)
    name = type.__dict__["__qualname__"].__get__(kind)
    return name if module == "builtins" else f"{module}.{name}"


def render(value):
    text = Text()
    try:
        nested(value, text, MOST_DEPTH)
        is_cut = False
    except Cut:
        is_cut = True
    return text.data.decode("utf-8", "surrogatepass"), is_cut


def nested(value, text, depth):
    """Adds the value; Cut where something is left away."""
    kind = type(value)
    if value is None or value is ... or value is NotImplemented or kind in (bool, float, complex):
        text.add(repr(value))
    elif kind is int:
        text.add(repr(value) if abs(value) < 1 << 120 else hex(value))
    elif kind in (str, bytes, bytearray):
        of_text(value, kind, text)
    elif kind in (list, tuple, dict, set, frozenset):
        of_container(value, kind, text, depth)
    elif kind is types.FunctionType:
        text.add(f"<function {value.__qualname__}>")
    elif issubclass(kind, type):
        text.add(f"<class {type_name(value)}>")
    elif issubclass(kind, BaseException) and depth > 0:
        of_exception(value, kind, text, depth)
    else:
        text.add(f"<{type_name(kind)}>")


def of_text(value, kind, text):
    shown = value[:MOST_BYTES]
    text.add(repr(bytes(shown)).join(("bytearray(", ")")) if kind is bytearray else repr(shown))
    if len(value) > MOST_BYTES:
        raise Cut


def of_container(value, kind, text, depth):
    opening, closing = {list: "[]", tuple: "()", dict: "{}", set: "{}", frozenset: ("frozenset({", "})")}[kind]
    if kind in (set, frozenset) and not value:
        opening, closing = kind.__name__ + "(", ")"
    text.add(opening)
    if depth == 0 and value:
        raise Cut
    for i, item in enumerate(kind.items(value) if kind is dict else value):
        if i == MOST_ITEMS:
            raise Cut
        if i:
            text.add(", ")
        nested(item[0] if kind is dict else item, text, depth - 1)
        if kind is dict:
            text.add(": ")
            nested(item[1], text, depth - 1)
    if kind is tuple and len(value) == 1:
        text.add(",")
    text.add(closing)


def of_exception(value, kind, text, depth):
    text.add(f"<{type_name(kind)}(")
    for i, item in enumerate(BaseException.__dict__["args"].__get__(value)):
        if i:
            text.add(", ")
        nested(item, text, depth - 1)
    text.add(")>")
