"""Reading the arguments of a request: what a client sends is checked here, once, with a sentence for each mistake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from retroscope.dap_adapter.failure import RequestFailed

Arguments = Mapping[str, Any]
"""The `arguments` object of a request as it came."""


def integer(arguments: Arguments, name: str, default: int | None = None) -> int:
    """An integer; without a default it must be there."""
    value = arguments.get(name)
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise RequestFailed(f"'{name}' must be a whole number, not {value!r}")
    return value


def text(arguments: Arguments, name: str, default: str | None = None) -> str:
    """A string; without a default it must be there."""
    value = arguments.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise RequestFailed(f"'{name}' must be a string, not {value!r}")
    return value


def boolean(arguments: Arguments, name: str, default: bool) -> bool:
    value = arguments.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise RequestFailed(f"'{name}' must be true or false, not {value!r}")
    return value


def objects(arguments: Arguments, name: str) -> Sequence[Arguments]:
    """A list of objects; missing and null are the empty list."""
    value = arguments.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise RequestFailed(f"'{name}' must be a list of objects")
    return value


def strings(arguments: Arguments, name: str) -> list[str]:
    """A list of strings; missing and null are the empty list."""
    value = arguments.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise RequestFailed(f"'{name}' must be a list of strings, not {value!r}")
    return list(value)
