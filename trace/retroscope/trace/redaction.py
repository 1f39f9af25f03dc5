"""Keeps given secrets out of a trace: in everything that is stored, each is replaced by a stand-in of the same length.

The same length, so that the records around it stay what they are. What a program derived from a secret (its hash, its
base64) is not recognised. A replay finds the stand-in where the program had the secret.
"""

from __future__ import annotations

MARK = b"<redacted>"
SHORTEST = 8  # bytes: what is shorter also occurs by chance


def stand_in(secret: bytes) -> bytes:
    return (MARK * (len(secret) // len(MARK) + 1))[: len(secret)]


class Redaction:
    """The secrets of one recording: `secrets` by name."""

    def __init__(self, secrets: dict[str, bytes]) -> None:
        """Those that are too short are named in `too_short` and stay."""
        self.too_short = sorted(name for name, secret in secrets.items() if 0 < len(secret) < SHORTEST)
        self.names = sorted(name for name, secret in secrets.items() if len(secret) >= SHORTEST)
        self.secrets = tuple(sorted({secrets[name] for name in self.names}, key=len, reverse=True))
        self._pairs = [(secret, stand_in(secret)) for secret in self.secrets]
        self.found = 0

    def clean(self, data: bytes) -> bytes:
        for secret, instead in self._pairs:
            if secret in data:
                self.found += data.count(secret)
                data = data.replace(secret, instead)
        return data

    def value(self, value: object) -> object:
        """A fact of plain data, with everything in it."""
        if isinstance(value, str):
            return self.clean(value.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")
        if isinstance(value, (list, tuple)):
            return type(value)([self.value(item) for item in value])
        if isinstance(value, dict):
            return {key: self.value(item) for key, item in value.items()}
        return value

    def begun(self, data: bytes) -> int:
        """How many bytes at the end of `data` may be the beginning of a secret."""
        most = min(len(data), len(self._pairs[0][0]) - 1) if self._pairs else 0
        for size in range(most, 0, -1):
            if any(secret.startswith(data[-size:]) for secret, _ in self._pairs if len(secret) > size):
                return size
        return 0


class RedactedStream:
    """One process's stream, piece by piece; a secret may lie across two pieces."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What is sure of everything that has come."""
        data = self._redaction.clean(self._held + data)
        held = self._redaction.begun(data)
        self._held = data[len(data) - held :]
        return data[: len(data) - held]

    def rest(self) -> bytes:
        """At the end: what was held back."""
        data, self._held = self._held, b""
        return data
