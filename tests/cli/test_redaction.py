"""What counts as a secret."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from retroscope.trace.secrets import HIDDEN, is_secret_name, redact, redact_words

SECRET_NAMES = [
    "TOKEN", "GITHUB_TOKEN", "accessToken", "PASSWORD", "db_passwd", "passphrase", "SECRET_KEY",
    "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "apikey", "API_KEY", "private-key", "AUTH", "PROXY_AUTH",
    "Authorization", "session_cookie", "CLIENT_CREDENTIALS", "REDIS_PASS", "SENTRY_DSN",
]  # fmt: skip


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["PATH", "HOME", "KEYBOARD", "AUTHOR", "PWD", "LANG", "COMPASS", "PASSENGER", "SHLVL"])
def test_other_names(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://ada:hunter2@example.com/x", f"https://ada:{HIDDEN}@example.com/x"),
        ("redis://:hunter2@cache:6379", f"redis://:{HIDDEN}@cache:6379"),
        ("https://example.com:8080/a@b", "https://example.com:8080/a@b"),
        ("Bearer abcdefghijkl", f"Bearer {HIDDEN}"),
        ("password=hunter2&user=ada", f"password={HIDDEN}&user=ada"),
        ('{"token": "hunter2", "user": "ada"}', f'{{"token": "{HIDDEN}", "user": "ada"}}'),
        ("--api-key=hunter2", f"--api-key={HIDDEN}"),
        ("ghp_" + "a" * 36, HIDDEN),
        ("key eyJhbGciOiJI.eyJzdWIiOiIx.c2ln ok", f"key {HIDDEN} ok"),
        ("x = 1; y: 2", "x = 1; y: 2"),
    ],
)
def test_text(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_an_unfinished_private_key_is_hidden_to_the_end() -> None:
    assert redact("a -----BEGIN PRIVATE KEY-----\nMIIE\nmore") == f"a {HIDDEN}"


def test_command_lines() -> None:
    words = ["app.py", "--token", "abc", "--password=abc", "--port", "80", "--secret", "--flag"]
    shown = ["app.py", "--token", HIDDEN, f"--password={HIDDEN}", "--port", "80", "--secret", "--flag"]
    assert redact_words(words) == shown


LONG = ["a" * 20_000, "eyJ-" * 5000, "a://" * 5000, "token " * 4000, "-----BEGIN " * 2000, "a:" * 9000]


@pytest.mark.alone
@pytest.mark.parametrize("text", LONG, ids=range(len(LONG)))
def test_no_text_takes_long(text: str) -> None:
    begin = time.perf_counter()
    redact(text)
    assert time.perf_counter() - begin < 1


def test_the_list_of_inputs_at_the_prompt_hides_secrets(tmp_path: Path) -> None:
    scope = str(Path(sys.executable).parent / "scope")
    code = "import sys; sys.stdin.readline(); sys.stdin.readline()"
    command = [scope, "record", "-q", "-c", code]
    said = "password=hunter2\n" * 2
    subprocess.run(command, cwd=tmp_path, input=said, text=True, check=True, timeout=60)
    shown = subprocess.run(
        [scope, "replay", "-x", "goto end", "-x", "inputs"], cwd=tmp_path, capture_output=True, text=True, check=True,
        timeout=60,
    )  # fmt: skip
    assert f"password={HIDDEN}" in shown.stdout
    assert "hunter2" not in shown.stdout
