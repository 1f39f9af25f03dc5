"""Several pytest processes over one folder `--share` run each module once: the one that comes to it first runs it.

They are ordinary processes with one thread each, which tests that fork and that handle signals need.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--share", type=Path, metavar="FOLDER", help="leave out modules that another process has taken")


def taken(items: list[pytest.Item], folder: Path) -> Iterator[pytest.Item]:
    """The tests of modules that nobody had taken; each module is taken when its first test is asked for."""
    ours: dict[str, bool] = {}
    for item in items:
        module = item.nodeid.partition("::")[0]
        if module not in ours:
            try:
                (folder / module.replace("/", "-")).touch(exist_ok=False)
                ours[module] = True
            except FileExistsError:
                ours[module] = False
        if ours[module]:
            yield item


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """In place of pytest's own loop when the run is shared."""
    folder = session.config.getoption("share")
    if folder is None or session.config.option.collectonly or session.testsfailed:
        return None
    items = taken(session.items, folder)
    item = next(items, None)
    while item is not None:
        following = next(items, None)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        item = following
    return True
