"""The protocol's own JSON schema, as debugpy ships it: every message of a session is held against it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import debugpy
from jsonschema import Draft4Validator

SCHEMA = "_vendored/pydevd/_pydevd_bundle/_debug_adapter/debugProtocol.json"
OURS = {"launch", "attach"}
"""Requests whose arguments the protocol leaves to the adapter."""


class NotInSchema(AssertionError):
    """A message that the protocol does not allow."""


@cache
def definitions() -> dict[str, Any]:
    text = (Path(debugpy.__file__).parent / SCHEMA).read_text()
    found: dict[str, Any] = json.loads(text)["definitions"]
    return found


def check(message: dict[str, Any]) -> None:
    """Raises NotInSchema when a message is not valid, or says something the schema has no name for."""
    name = definition_name(message)
    if name not in definitions():
        raise NotInSchema(f"the protocol has no {name}: {message}")
    errors = [error.message for error in _validator(name).iter_errors(message)]
    errors += _strangers(message, {"$ref": f"#/definitions/{name}"}, name)
    if errors:
        raise NotInSchema(f"{errors} in {json.dumps(message)[:2000]}")


def definition_name(message: dict[str, Any]) -> str:
    kind = message.get("type")
    if kind == "event":
        return _title(message["event"]) + "Event"
    if kind == "request":
        return _title(message["command"]) + "Request"
    if kind == "response":
        return _title(message["command"]) + "Response" if message["success"] else "ErrorResponse"
    raise NotInSchema(f"a message is a request, a response or an event: {message}")


@cache
def _validator(name: str) -> Draft4Validator:
    return Draft4Validator({"$ref": f"#/definitions/{name}", "definitions": definitions()})


def _strangers(value: Any, schema: dict[str, Any], where: str) -> list[str]:
    """Properties that the schema does not name: misspelt ones would else pass, as additional properties."""
    named = _properties(schema)
    if isinstance(value, list):
        items = schema.get("items") or {}
        return [found for item in value for found in _strangers(item, items, where)]
    if not isinstance(value, dict) or not named:
        return []
    found = [f"{where} has no property {name!r}" for name in value if name not in named]
    if where in ("LaunchRequest", "AttachRequest"):
        return found
    for name, child in value.items():
        if name in named:
            found += _strangers(child, named[name], f"{where}.{name}")
    return found


def _properties(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return _properties(definitions()[schema["$ref"].rsplit("/", 1)[1]])
    named: dict[str, Any] = {}
    for part in schema.get("allOf", []):
        named |= _properties(part)
    return named | schema.get("properties", {})


def _title(word: str) -> str:
    return word[:1].upper() + word[1:]
