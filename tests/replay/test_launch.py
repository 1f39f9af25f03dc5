"""What is said when a replay process does not come to its first line."""

from __future__ import annotations

import os

import pytest
from retroscope.replay.launch import _complaint

DIVERGED = """\
The replay diverged from the recording at input 3: os.getpid was put behind the boundary; no input agreed before it.
Python stack, innermost first:
  boot.py:90 in start
"""
OLD_CORE = """\
Traceback (most recent call last):
  File "startup.py", line 60, in <module>
AttributeError: module 'retroscope.recorder._core' has no attribute 'something_new'
"""
NOT_FITTING = "the native core of this installation is of another version than its Python files; install it again"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("", "it ended without a word"),
        (DIVERGED, DIVERGED.splitlines()[0]),
        (OLD_CORE, NOT_FITTING),
        ("Traceback …\nMemoryError\n", "MemoryError"),
    ],
)  # fmt: skip
def test_the_complaint_is_one_sentence(written: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCOPE_DEBUG", raising=False)
    errors = os.memfd_create("errors")
    try:
        os.write(errors, written.encode())
        assert _complaint(errors) == said
    finally:
        os.close(errors)
