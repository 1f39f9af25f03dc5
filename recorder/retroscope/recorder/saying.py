"""Sentences on stderr, beside what the program writes there."""

from __future__ import annotations

import os


def say(sentence: str) -> None:
    """One line of ours on stderr; nobody may be listening."""
    try:  # noqa: SIM105 - contextlib takes a millisecond to import
        os.write(2, f"scope: {sentence}\n".encode("utf-8", "replace"))
    except OSError:
        pass  # stderr is closed: there is no one to tell
