"""Recorded values as bounded text and as JSON, with secrets left out unless they are asked for."""

from __future__ import annotations

import math

from retroscope.trace.secrets import HIDDEN, is_secret_name, redact
from retroscope.trace.values import (
    ArgumentReference,
    Global,
    Handle,
    Pickled,
    RecordedException,
    StructSequence,
    Unrecordable,
)

MOST_TEXT = 160  # characters of a rendering in a line
MOST_ITEMS = 1000  # of a container in JSON
MOST_CHARACTERS = 20_000  # of a string in JSON
_MOST_DEPTH = 40
_BRACKETS: dict[type, str] = {tuple: "()", list: "[]", set: "{}", frozenset: "{}"}


class Renderer:
    """Renders values; `secrets` shows what is otherwise redacted."""

    def __init__(self, *, secrets: bool = False, most: int = MOST_TEXT) -> None:
        self._secrets = secrets
        self._most = most

    def safe(self, text: str) -> str:
        return text if self._secrets else redact(text)

    def text(self, value: object) -> str:
        """`value` in one line of at most about `most` characters."""
        text = self._text(value, self._most, 0)
        return text if len(text) <= self._most else text[: self._most - 1] + "…"

    def _text(self, value: object, room: int, depth: int) -> str:
        if depth > _MOST_DEPTH or room <= 0:
            return "…"
        if isinstance(value, str):
            return self._quoted(value, room)
        if isinstance(value, (bytes, bytearray)):
            return self._bytes(value, room)
        if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 1024:
            return f"<int of {value.bit_length()} bits>"
        if isinstance(value, dict):
            return self._mapping(value, room, depth)
        if isinstance(value, StructSequence):
            return value.type_name + self._items("()", value.fields, room, depth)
        if isinstance(value, RecordedException):
            args = value.args if isinstance(value.args, tuple) else (value.args,)
            return value.type_name + self._items("()", args, room, depth)
        if isinstance(value, Handle):
            return f"<{value.type_name} {self._text(value.members, room, depth + 1)}>"
        brackets = _BRACKETS.get(type(value))
        if brackets:
            assert isinstance(value, (tuple, list, set, frozenset))
            return self._items(brackets, value, room, depth)
        return repr(value)

    def _quoted(self, value: str, room: int) -> str:
        if len(value) > 4 * room + 200:
            return repr(self.safe(value[: 2 * room + 100]))[: room + 1] + f"…' ({len(value)} characters)"
        return repr(self.safe(value))

    def _bytes(self, value: bytes | bytearray, room: int) -> str:
        shown = bytes(value[: 4 * room + 200])
        if not self._secrets:
            safe = redact(shown.decode("latin-1")).encode("latin-1")
            shown = safe if safe != shown else shown
        text = repr(shown) if isinstance(value, bytes) else f"bytearray({shown!r})"
        return text if len(value) <= len(shown) or len(text) < room else f"{text[:room]}…' ({len(value)} bytes)"

    def _items(self, brackets: str, items: object, room: int, depth: int) -> str:
        parts: list[str] = []
        previous: object = None
        for item in items:  # type: ignore[attr-defined]
            if room <= 0:
                parts.append("…")
                break
            hide = isinstance(previous, str) and self._is_secret(previous) and len(parts) == 1
            parts.append(HIDDEN if hide else self._text(item, room, depth + 1))
            room -= len(parts[-1]) + 2
            previous = item
        tail = "," if brackets == "()" and len(parts) == 1 else ""
        return brackets[0] + ", ".join(parts) + tail + brackets[1]

    def _mapping(self, value: dict[object, object], room: int, depth: int) -> str:
        parts: list[str] = []
        for key, item in value.items():
            if room <= 0:
                parts.append("…")
                break
            shown = HIDDEN if self._hides(key, item) else self._text(item, room, depth + 1)
            parts.append(f"{self._text(key, room, depth + 1)}: {shown}")
            room -= len(parts[-1]) + 2
        return "{" + ", ".join(parts) + "}"

    def _is_secret(self, name: str) -> bool:
        return not self._secrets and len(name) < 100 and is_secret_name(name)

    def _hides(self, key: object, item: object) -> bool:
        if isinstance(key, bytes):
            key = key.decode("latin-1")
        return isinstance(key, str) and isinstance(item, (str, bytes)) and bool(item) and self._is_secret(key)

    def json(self, value: object, depth: int = 0) -> object:
        """`value` as what the json module can write; what JSON lacks is an object with its type."""
        if depth > _MOST_DEPTH:
            return {"type": type(value).__name__, "text": "…"}
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return value if value.bit_length() <= 1024 else {"type": "int", "bits": value.bit_length()}
        if isinstance(value, float):
            return value if math.isfinite(value) else {"type": "float", "text": repr(value)}
        if isinstance(value, str):
            return self._json_text(value)
        if isinstance(value, (bytes, bytearray)):
            text = self.safe(value[:MOST_CHARACTERS].decode("utf-8", "backslashreplace"))
            return {"type": type(value).__name__, "size": len(value), "text": text}
        if isinstance(value, dict):
            return self._json_mapping(value, depth)
        if isinstance(value, (tuple, list, set, frozenset)):
            return self._json_items(value, depth)
        return self._json_described(value, depth)

    def _json_text(self, value: str) -> object:
        text = self.safe(value[:MOST_CHARACTERS]).encode("utf-8", "backslashreplace").decode()
        return text if len(value) <= MOST_CHARACTERS else {"type": "str", "size": len(value), "text": text}

    def _json_items(self, items: object, depth: int) -> list[object]:
        shown: list[object] = []
        for item in items:  # type: ignore[attr-defined]
            if len(shown) == MOST_ITEMS:
                shown.append({"type": "more", "text": "…"})
                break
            hide = len(shown) == 1 and isinstance(shown[0], str) and self._is_secret(shown[0])
            shown.append(HIDDEN if hide and isinstance(item, (str, bytes)) else self.json(item, depth + 1))
        return shown

    def _json_mapping(self, value: dict[object, object], depth: int) -> dict[str, object]:
        shown: dict[str, object] = {}
        for key, item in value.items():
            if len(shown) == MOST_ITEMS:
                shown["…"] = {"type": "more", "items": len(value) - MOST_ITEMS}
                break
            name = key if isinstance(key, str) else self._text(key, self._most, depth)
            name = name.encode("utf-8", "backslashreplace").decode()
            shown[name] = HIDDEN if self._hides(key, item) else self.json(item, depth + 1)
        return shown

    def _json_described(self, value: object, depth: int) -> object:
        if isinstance(value, StructSequence):
            return {"type": value.type_name, "fields": self._json_items(value.fields, depth)}
        if isinstance(value, RecordedException):
            return {"type": value.type_name, "args": self.json(value.args, depth + 1)}
        if isinstance(value, Handle):
            return {"type": value.type_name, "members": self.json(value.members, depth + 1)}
        if isinstance(value, Pickled):
            return {"type": "pickle", "size": value.size, "names": list(value.names)}
        if isinstance(value, Unrecordable):
            return {"type": value.type_name, "text": "not recorded"}
        if isinstance(value, (ArgumentReference, Global)):
            return {"type": "reference", "text": repr(value)}
        return {"type": type(value).__name__, "text": str(value)}
