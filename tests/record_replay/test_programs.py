"""Every fixture program: recorded it does what plain Python does; replayed, with its files gone, it does it again."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.record_replay.programs import PROGRAMS, Program

SCOPE = str(Path(sys.executable).parent / "scope")
FIXTURES = Path(__file__).parents[2] / "fixtures" / "programs"
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/root", "LANG": "C.UTF-8", "GREETING": "hello"}
ELSEWHERE = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TZ": "Asia/Tokyo", "GREETING": "another"}
CLOSING = re.compile(rb"replayed [\d,]+ ticks?, [\d,]+ inputs?, \d+ process(?:es)?, 0 divergences\n\Z")
OF_A_CHILD = re.compile(rb"^scope: process (?!1:)\d+: .*: verified up to there\n", re.MULTILINE)
SECONDS = 60


@dataclass(frozen=True)
class Outcome:
    """What a run left behind; `status` as a shell says it."""

    status: int
    stdout: bytes
    stderr: bytes


def run(command: list[str], cwd: Path, environment: dict[str, str], stdin: str = "") -> Outcome:
    done = subprocess.run(
        command, cwd=cwd, env=environment, input=stdin.encode(), capture_output=True, timeout=SECONDS, check=False
    )
    status = done.returncode if done.returncode >= 0 else 128 - done.returncode
    return Outcome(status, done.stdout, done.stderr)


def lay_out(program: Program, folder: Path) -> None:
    """A fresh copy of the program in `folder`, the same path each time: tracebacks name it."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    source = FIXTURES / program.source
    if source.is_dir():
        shutil.copytree(source, folder / program.source, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, folder)
    if program.argv[0].endswith(".pyz"):
        make_archive(folder / program.source, folder / program.argv[0])


def make_archive(package: Path, archive: Path) -> None:
    """A zip file that runs the package, which goes into it."""
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("__main__.py", f"import runpy\nrunpy.run_module({package.name!r}, run_name='__main__')\n")
        for file in sorted(path for path in package.rglob("*") if path.is_file()):
            out.write(file, file.relative_to(package.parent))
    shutil.rmtree(package)


def without_closing_line(verified: Outcome) -> Outcome:
    """The program's output as verify printed it: its own closing line must be there, on either stream, and is cut."""
    stdout, on_stdout = CLOSING.subn(b"", verified.stdout)
    stderr, on_stderr = CLOSING.subn(b"", verified.stderr)
    stderr = OF_A_CHILD.sub(b"", stderr)
    assert on_stdout + on_stderr == 1, f"no closing line:\n{verified.stdout.decode()}\n{verified.stderr.decode()}"
    return Outcome(verified.status, stdout, stderr)


def agrees(replayed: bytes, recorded: bytes, whole: bool) -> bool:
    """Byte for byte; a newline may end an unfinished last line, and a cut-off run may be followed by a remark."""
    if whole:
        return replayed == recorded or (not recorded.endswith(b"\n") and replayed == recorded + b"\n")
    return replayed.startswith(recorded)


@dataclass(frozen=True)
class Ran:
    """A program, what it did under plain Python and while it was recorded, and its trace; `folder`, where it ran, is
    gone."""

    program: Program
    folder: Path
    trace: Path
    plain: Outcome
    recorded: Outcome


def by_name(program: Program) -> str:
    return program.name


@pytest.fixture(scope="module", params=PROGRAMS, ids=by_name)
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    program, home = request.param, tmp_path_factory.mktemp("program")
    folder, trace = home / "run", home / "trace.db"
    lay_out(program, folder)
    plain = run([sys.executable, *program.argv], folder, ENVIRONMENT, program.stdin)
    lay_out(program, folder)
    recorded = run([SCOPE, "record", "-q", "-o", str(trace), *program.argv], folder, ENVIRONMENT, program.stdin)
    shutil.rmtree(folder)
    return Ran(program, folder, trace, plain, recorded)


def test_plain_python_does_what_the_table_says(ran: Ran) -> None:
    assert ran.plain.status == ran.program.status, ran.plain.stderr.decode()


def test_a_recorded_program_does_what_plain_python_does(ran: Ran) -> None:
    assert ran.recorded.status == ran.program.status, ran.recorded.stderr.decode()
    if ran.program.same:
        assert ran.recorded.stdout.decode() == ran.plain.stdout.decode()
        assert ran.recorded.stderr.decode() == ran.plain.stderr.decode()


def test_a_replay_repeats_the_output_with_the_files_gone(ran: Ran, tmp_path: Path) -> None:
    recorded = ran.recorded
    assert recorded.status == ran.program.status, recorded.stderr.decode()
    verified = run([SCOPE, "verify", str(ran.trace), "--output"], tmp_path, ELSEWHERE)
    assert verified.status == 0, verified.stderr.decode()
    replayed = without_closing_line(verified)
    for stream, again, once in (
        ("stdout", replayed.stdout, recorded.stdout),
        ("stderr", replayed.stderr, recorded.stderr),
    ):
        assert agrees(again, once, ran.program.whole), f"{stream}:\n{again.decode()}\nrecorded:\n{once.decode()}"
    assert not ran.folder.exists(), "the replay wrote where the program had written"
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_is_not_there_is_told_as_plain_python_tells_it(tmp_path: Path) -> None:
    plain = run([sys.executable, "absent.py"], tmp_path, ENVIRONMENT)
    assert run([SCOPE, "record", "absent.py"], tmp_path, ENVIRONMENT) == plain
