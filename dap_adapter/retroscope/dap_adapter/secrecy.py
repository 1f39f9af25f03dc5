"""Keeps what looks like a secret out of variables and values, by the rules of `scope info` and `scope events`.

A value is hidden when its name says so and it is text, or where it is shown in a form that gives it away. The user can
have everything shown: what is hidden is only not put on a screen that others may see.
"""

from __future__ import annotations

import re
from dataclasses import replace

from retroscope.replay.moments import Value
from retroscope.trace.secrets import HIDDEN, is_secret_name, redact

_TEXT = ("str", "bytes", "bytearray")
_ORDINARY = ("key", "keys")
"""Names that programs have for whatever is looked up by them."""
_LAST_NAME = re.compile(r"(\w+)['\"]?\]?\s*$")


class Secrecy:
    """One session's choice."""

    def __init__(self) -> None:
        self.shows_all = False

    def clean(self, value: Value) -> Value:
        """The value as it may be shown; what it is made of is cleaned when it is asked for."""
        if self.shows_all:
            return value
        if value.kind in _TEXT and _names_a_secret(value.name):
            return replace(value, text=HIDDEN) if value.text.strip("b'\"") else value
        return replace(value, text=redact(value.text))


def _names_a_secret(name: str) -> bool:
    """`name`: of a variable, or an expression, of which the last name counts."""
    found = _LAST_NAME.search(name)
    last = found[1] if found else name
    return last not in _ORDINARY and is_secret_name(last)
