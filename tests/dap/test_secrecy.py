"""What looks like a secret is not shown, unless the user asks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dap.client import REAL, Client, start
from tests.dap.test_console import typed

ADAPTER = REAL
PROGRAM = """\
password = "hunter2-hunter2"
key = "plain"
token_count = 3
api_token = b"0123456789"
no_password = ""
url = "https://me:verysecret@example.org/x"
config = {"user": "ada", "password": "hunter2-hunter2", "port": 80}
end = 1
"""
HIDDEN = "[redacted]"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    program = tmp_path / "secrets_of.py"
    program.write_text(PROGRAM)
    return program


def frame(client: Client) -> int:
    return int(client.request("stackTrace", threadId=1)["stackFrames"][0]["id"])


def shown(client: Client, *path: str) -> dict[str, str]:
    """Names and values of the innermost frame's variables, or of what is inside of one."""
    reference = client.request("scopes", frameId=frame(client))["scopes"][0]["variablesReference"]
    variables = client.request("variables", variablesReference=reference)["variables"]
    for name in path:
        reference = next(one["variablesReference"] for one in variables if one["name"] == name)
        variables = client.request("variables", variablesReference=reference)["variables"]
    return {one["name"]: one["value"] for one in variables}


def test_secrets_are_hidden_until_they_are_asked_for(client: Client, program: Path) -> None:
    start(client, "launch", program=str(program), stopAt="entry")
    lines = PROGRAM.splitlines()
    client.request("setBreakpoints", source={"path": str(program)}, breakpoints=[{"line": len(lines)}])
    client.request("continue", threadId=1)
    client.wait_for("stopped")
    values = shown(client)
    assert (values["password"], values["api_token"], values["key"], values["token_count"]) == (
        HIDDEN, HIDDEN, "'plain'", "3",
    )  # fmt: skip
    assert values["no_password"] == "''"
    assert values["url"] == f"'https://me:{HIDDEN}@example.org/x'"
    assert "hunter2" not in values["config"]
    inside = shown(client, "config")
    assert HIDDEN in inside.values() and "'ada'" in inside.values() and "80" in inside.values()
    for context in ("hover", "watch", "repl"):
        for expression in ("password", "config['password']"):
            answer = client.request("evaluate", expression=expression, context=context, frameId=frame(client))
            assert answer["result"] == HIDDEN, (context, expression)
    assert typed(client, "len(password)") == "15"
    assert typed(client, ".secrets on") == "values that look like secrets are shown"
    assert shown(client)["password"] == "'hunter2-hunter2'"
    assert typed(client, "password") == "'hunter2-hunter2'"
    assert typed(client, ".secrets off") == "values that look like secrets are hidden"
    assert shown(client)["password"] == HIDDEN


def test_they_can_be_shown_from_the_start(client: Client, program: Path) -> None:
    start(client, "launch", program=str(program), stopAt="end", showSecrets=True)
    client.request("stepBack", threadId=1)
    client.wait_for("stopped")
    assert shown(client)["password"] == "'hunter2-hunter2'"
