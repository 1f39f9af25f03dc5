"""Keeps secrets out of what is shown: by the names they go under, and by their looks.

Display only: the trace holds what the program got. Better one harmless value hidden than one password shown.
"""

from __future__ import annotations

import re

HIDDEN = "[redacted]"

_SECRET_NAME = re.compile(
    r"token|passw(or)?d|passphrase|secret|credential|cookie|signature"
    r"|key(s|_?id)?(?![a-z])|(?<![a-z])(auth(entication|orization)?|pass|pwd_hash|pin|otp|dsn)(?![a-z])",
    re.IGNORECASE,
)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_URL_PASSWORD = re.compile(r"(?P<before>(?<![a-zA-Z0-9+.-])[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@'\"]*:)[^\s/@'\"]+(?=@)")
_BEARER = re.compile(r"(?P<before>\b(?:bearer|basic|token)\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_KNOWN_TOKEN = re.compile(
    r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|xox[abprs]-[A-Za-z0-9-]{10,}"
    r"|sk-[A-Za-z0-9_-]{20,}|AKIA[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{35}|glpat-[A-Za-z0-9_-]{20,}"
    r"|eyJ[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*)"
)
_ASSIGNED = re.compile(
    r"(?P<before>(?<![A-Za-z0-9_.-])-{0,2}(?P<name>[A-Za-z_][A-Za-z0-9_.-]*)['\"]?\s*[=:]\s*['\"]?)(?P<value>[^\s'\"&;,]+)"
)


def is_secret_name(name: str) -> bool:
    """Does a variable, option or key of this name usually hold a secret?"""
    return _SECRET_NAME.search(name) is not None


def redact(text: str) -> str:
    """`text` without the secrets that can be recognised in it."""
    text = _PRIVATE_KEY.sub(HIDDEN, text)
    text = _URL_PASSWORD.sub(lambda found: found["before"] + HIDDEN, text)
    text = _BEARER.sub(lambda found: found["before"] + HIDDEN, text)
    text = _KNOWN_TOKEN.sub(HIDDEN, text)
    return _ASSIGNED.sub(_redact_assigned, text)


def _redact_assigned(found: re.Match[str]) -> str:
    if is_secret_name(found["name"]) and HIDDEN not in found["value"]:
        return found["before"] + HIDDEN
    return found[0]


def redact_words(words: list[str]) -> list[str]:
    """A command line: also the word after an option such as --password."""
    shown = []
    secret_follows = False
    for word in words:
        shown.append(HIDDEN if secret_follows and not word.startswith("-") else redact(word))
        secret_follows = word.startswith("-") and "=" not in word and is_secret_name(word.lstrip("-"))
    return shown
