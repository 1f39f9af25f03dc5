"""Minutes of a busy service, by volume: millions of inputs pass through, and nobody's memory grows with them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.hour import HERE, SCOPE, Growth, watched

REQUESTS = 300_000
"""2.1 million inputs and 72 MB of stream: more than a replay holds in memory."""
SLACK = 8_000_000
"""Bytes: what the interpreters and the compressor move about by; the stream is nine times that."""


def is_flat(growth: Growth) -> bool:
    return growth.most <= growth.early + SLACK


@pytest.mark.alone
def test_memory_stays_flat(tmp_path: Path) -> None:
    trace = tmp_path / "trace.db"
    program = [str(HERE / "programs" / "service_hours.py"), str(REQUESTS)]
    drain, recorded, _ = watched([SCOPE, "record", "-q", "-o", trace, *program])
    assert is_flat(drain), drain
    assert is_flat(recorded), recorded
    controller, replayed, _ = watched([SCOPE, "verify", trace])
    assert is_flat(controller), controller
    assert is_flat(replayed), replayed


@pytest.mark.alone
def test_growth_would_be_seen() -> None:
    grows = "kept = []\nfor _ in range(40):\n    kept.append(b'x' * 1_000_000)\n    __import__('time').sleep(0.05)\n"
    own, _, _ = watched([sys.executable, "-c", grows])
    assert not is_flat(own)
