"""What is built: a wheel and an sdist that install and work, with one top-level name."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("trace", "recorder", "replay", "api", "dap_adapter", "cli")
PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet")


def run(*command: str | Path, cwd: Path) -> str:
    """Runs a command outside the source tree, away from any environment variable that could help it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the sdist, and the wheel that was built from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (path,) = dist.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def sdist(dist: Path) -> Path:
    (path,) = dist.glob("*.tar.gz")
    return path


def test_the_wheel_has_one_top_level_name(wheel: Path) -> None:
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"retroscope"}


def test_the_wheel_holds_every_module_and_nothing_else(wheel: Path) -> None:
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    ours = {
        str(path.relative_to(ROOT / room))
        for room in ROOMS
        for path in (ROOT / room / "retroscope").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    core = {name for name in packed if name.startswith("retroscope/recorder/_core.") and name.endswith(".so")}
    assert len(core) == 1
    generated = {f"retroscope/{name}" for name in ("__init__.py", "__init__.pyi", "__main__.py", "py.typed")}
    assert packed == ours | core | generated


def test_the_sdist_holds_everything_that_building_and_testing_need(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout: there is no list to compare with")
    present = {name for name in tracked.stdout.splitlines() if (ROOT / name).exists()}
    assert {name for name in present if not name.startswith(".")} - packed == set()


@pytest.fixture(scope="module")
def home(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with nothing but the wheel and what it needs."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    run(folder / "bin" / "python", *PIP, "install", wheel, cwd=folder)
    return folder


def test_an_installed_wheel_works(home: Path, tmp_path: Path) -> None:
    python, scope = home / "bin" / "python", home / "bin" / "scope"
    (tmp_path / "retroscope").mkdir()  # a folder of the user's with our name must not matter
    for room in ROOMS:
        where = run(python, "-c", f"import retroscope.{room} as room; print(room.__file__)", cwd=tmp_path)
        assert where.startswith(str(home))
    (tmp_path / "program.py").write_text("import time\nprint(time.time())\n")
    recorded = run(scope, "record", "-o", "run.db", "program.py", cwd=tmp_path)
    verified = run(scope, "verify", "run.db", "--output", cwd=tmp_path)
    assert verified.startswith(recorded)


SCRIPT = """
import retroscope

with retroscope.open("run.db") as trace:
    first: list[retroscope.Input] = list(trace.inputs("time.time"))
    values: dict[str, str] = {name: value.text for name, value in first[0].moment().frame.locals.items()}
    tick: int = trace.end().tick
    print(trace.exit_status, "now" in values, tick > 0)
"""


def test_the_installed_api_works_and_is_annotated(home: Path, tmp_path: Path) -> None:
    python = home / "bin" / "python"
    (tmp_path / "program.py").write_text("import time\nnow = 1\nnow = time.time()\n")
    (tmp_path / "script.py").write_text(SCRIPT)
    run(home / "bin" / "scope", "record", "-q", "-o", "run.db", "program.py", cwd=tmp_path)
    assert run(python, "script.py", cwd=tmp_path) == "0 True True\n"
    checked = [sys.executable, "-m", "mypy", "--strict", "--python-executable", python, "script.py"]
    assert run(*checked, cwd=tmp_path).startswith("Success")
    (tmp_path / "script.py").write_text(SCRIPT.replace("tick: int", "tick: str"))
    wrong = subprocess.run(checked, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert wrong.returncode == 1
    assert 'expression has type "int"' in wrong.stdout


def test_rooms_are_source_roots_of_one_namespace() -> None:
    for room in ROOMS:
        assert not (ROOT / room / "__init__.py").exists()
        assert not (ROOT / room / "retroscope" / "__init__.py").exists()
        package = ROOT / room / "retroscope" / room / "__init__.py"
        assert ast.get_docstring(ast.parse(package.read_text())), f"{package} does not say what the room is for"
