"""Adapters for tests: most run with a fake timeline, so that a test takes a fraction of a second."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dap.client import FAKE, Adapter, Client

PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    """A program that fails, in a folder of its own."""
    return Path(shutil.copy(PROGRAMS / "orders.py", tmp_path))


@pytest.fixture
def fine(tmp_path: Path) -> Path:
    """A program that ends well."""
    return Path(shutil.copy(PROGRAMS / "fine.py", tmp_path))


@pytest.fixture
def adapter(request: pytest.FixtureRequest) -> Iterator[Adapter]:
    """An adapter on standard streams. Its recordings and replays are fakes, unless the test's module says
    `ADAPTER = REAL`."""
    with Adapter(getattr(request.module, "ADAPTER", FAKE)) as running:
        yield running


@pytest.fixture
def client(adapter: Adapter) -> Client:
    return adapter.client
