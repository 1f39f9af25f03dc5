"""Several pytest processes share one run, as tools/run_tests.py starts them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
MODULE = """\
import os
import pytest
@pytest.fixture(scope="module")
def record():
    with open(os.environ["RAN"], "a") as file:
        yield lambda name: file.write(f"{os.getpid()} {name}\\n")
@pytest.mark.parametrize("number", range(20))
def test_it(number, record):
    record(f"{__name__} {number}")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "tests").mkdir()
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\ntestpaths = ["tests"]\n')
    shutil.copy(TESTS / "conftest.py", tmp_path / "tests")
    for letter in "abcdefgh":
        (tmp_path / "tests" / f"test_{letter}.py").write_text(MODULE)
    return tmp_path


def start(project: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    environment = {"RAN": str(project / "ran.txt")}
    return subprocess.Popen(command, cwd=project, env=environment, stdout=subprocess.PIPE, text=True)


def test_each_test_is_run_once_and_each_module_by_one_process(project: Path) -> None:
    share = project / "share"
    share.mkdir()
    running = [start(project, f"--share={share}") for _ in range(3)]
    told = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], told
    rows = [line.split() for line in (project / "ran.txt").read_text().splitlines()]
    wanted = sorted((f"test_{letter}", str(number)) for letter in "abcdefgh" for number in range(20))
    assert sorted((module.rpartition(".")[2], number) for _, module, number in rows) == wanted
    assert len({(pid, module) for pid, module, _ in rows}) == 8


def test_a_failure_fails_the_run_that_had_it_and_no_other(project: Path) -> None:
    share = project / "share"
    share.mkdir()
    (project / "tests" / "test_d.py").write_text("def test_it():\n    assert False\n")
    first = start(project, f"--share={share}")
    assert "1 failed, 140 passed" in first.communicate()[0]
    second = start(project, f"--share={share}")
    assert "no tests ran" in second.communicate()[0]
    assert (first.returncode, second.returncode) == (1, 0)


def test_without_a_share_everything_is_run(project: Path) -> None:
    alone = start(project)
    assert "160 passed" in alone.communicate()[0]
