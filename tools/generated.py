"""Documents that are made from stored results: written, or compared with what is there."""

from __future__ import annotations

from pathlib import Path


def write_or_check(document: Path, text: str, arguments: list[str]) -> int:
    """Writes `text`; with --check among the arguments nothing. An exit status: 1 when the check finds other text."""
    if "--check" in arguments:
        return 0 if document.exists() and document.read_text() == text else 1
    document.write_text(text)
    print(document.relative_to(Path(__file__).resolve().parent.parent))
    return 0
