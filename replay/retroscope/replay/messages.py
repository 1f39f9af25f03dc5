"""Log messages: text with expressions in braces, `{{` and `}}` for braces themselves."""

from __future__ import annotations

Part = tuple[bool, str]
"""(whether it is an expression, its text)."""


class BadMessage(ValueError):
    """The text is no message; the sentence says why."""


def parse_message(text: str) -> list[Part]:
    """The parts of a message. An expression may hold braces of its own, in pairs."""
    parts: list[Part] = []
    plain, at = "", 0
    while at < len(text):
        sign = text[at]
        if sign in "{}" and text[at : at + 2] == sign * 2:
            plain += sign
            at += 2
        elif sign == "{":
            end = _closing(text, at)
            expression = text[at + 1 : end].strip()
            if not expression:
                raise BadMessage("there is no expression between { and }")
            parts += [(False, plain), (True, expression)]
            plain, at = "", end + 1
        elif sign == "}":
            raise BadMessage("a } without a {; }} is a brace itself")
        else:
            plain += sign
            at += 1
    return [part for part in [*parts, (False, plain)] if part[1]]


def _closing(text: str, at: int) -> int:
    depth = 0
    for end in range(at, len(text)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if not depth:
            return end
    raise BadMessage("a { without a }; {{ is a brace itself")
