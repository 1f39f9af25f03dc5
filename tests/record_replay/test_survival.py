"""What a recording survives: every way a program can die, storage that fails, and a replay far from home.

From the outside, through the command: recorded, looked at with `info`, verified. What the program said on its standard
output before it died is the oracle for what must be in the trace.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from retroscope.trace import open_trace

SCOPE = str(Path(sys.executable).parent / "scope")
FIXTURES = Path(__file__).parents[2] / "fixtures" / "programs"
HEAD = "import ctypes, faulthandler, os, signal, sys, time\n"
INPUTS = "for number in range(50): time.time()\nprint('the last thing', flush=True)\n"
SECONDS = 60


@dataclass(frozen=True)
class Done:
    status: int
    stdout: str
    stderr: str


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> Done:
    command = [str(word) for word in words]
    done = subprocess.run(
        command, capture_output=True, text=True, env=env, cwd=cwd, timeout=SECONDS, check=False, errors="replace"
    )
    return Done(done.returncode, done.stdout, done.stderr)


def record(code: str, *words: str) -> Done:
    Path("program.py").write_text(code)
    return run(SCOPE, "record", "-q", "-o", "trace.db", "program.py", *words)


def verify(*words: str, **how: object) -> Done:
    return run(SCOPE, "verify", "trace.db", *words, **how)  # type: ignore[arg-type]


def info() -> dict[str, object]:
    done = run(SCOPE, "info", "trace.db", "--json")
    assert done.status == 0, done.stderr
    return json.loads(done.stdout)["processes"][0]  # type: ignore[no-any-return]


def clock_readings() -> int:
    with open_trace("trace.db") as trace:
        return sum(each.name == "time.time" and each.kind_name == "result" for each in trace.records(1))


def recorded_output() -> str:
    with open_trace("trace.db") as trace:
        return b"".join(each.data for each in trace.output(1) if each.descriptor == 1).decode()


# --- the program dies

DEATHS = {
    "kill": ("os.kill(os.getpid(), signal.SIGKILL)", ("signal", 9)),
    "segfault": ("ctypes.string_at(0)", ("signal", 11)),
    "segfault-with-faulthandler": ("faulthandler.enable(); ctypes.string_at(0)", ("signal", 11)),
    "abort": ("os.abort()", ("signal", 6)),
    "abort-with-faulthandler": ("faulthandler.enable(); os.abort()", ("signal", 6)),
    "division-in-c": ("faulthandler._sigfpe()", ("signal", 8)),
    "terminated": ("os.kill(os.getpid(), signal.SIGTERM)", ("signal", 15)),
    "exit-at-once": ("os._exit(5)", ("exited", 5)),
    "exec": ("os.execv('/bin/sh', ['sh', '-c', 'exit 4'])", ("exited", 4)),
}


@pytest.mark.parametrize("how", DEATHS)
def test_every_input_before_a_death_is_kept_and_verified(how: str, here: Path) -> None:
    statement, (ended, number) = DEATHS[how]
    recorded = record(HEAD + INPUTS + statement + "\ntime.time()\n")
    assert recorded.status == (number if ended == "exited" else 128 + number)
    assert recorded.stdout == recorded_output() == "the last thing\n"
    assert clock_readings() == 50
    process = info()
    assert (process["ended"], process["status" if ended == "exited" else "signal"]) == (ended, number)
    verified = verify()
    assert verified.status == 0, verified.stderr
    assert verified.stdout.endswith(" 0 divergences\n")
    if ended == "signal":
        assert verified.stderr == f"scope: the process was killed by signal {number}: verified up to there\n"
    elif how == "exec":
        said = "the program called exec: what '/bin/sh' does in its place is not recorded"
        assert (verified.stderr, process["notes"]) == (f"scope: {said}: verified up to there\n", [said])


def test_an_exec_that_fails_is_an_exception_like_any_other(here: Path) -> None:
    code = "try:\n    os.execv('/absent/program', ['x'])\nexcept FileNotFoundError as error:\n    print(error)\n"
    recorded = record(HEAD + code)
    assert (recorded.status, recorded.stdout) == (0, "[Errno 2] No such file or directory\n")
    assert (verify().stderr, info()["notes"]) == ("", [])


SHUTDOWN = """
class Failing:
    def __del__(self):
        print("failing", flush=True)
        raise ValueError("at shutdown")

import atexit
atexit.register(lambda: 1 / 0)
kept = Failing()
"""


def test_exceptions_at_shutdown(here: Path) -> None:
    recorded = record(HEAD + INPUTS + SHUTDOWN)
    plain = run(sys.executable, "program.py")
    assert (recorded.status, recorded.stdout) == (plain.status, plain.stdout) == (0, "the last thing\nfailing\n")
    assert re.sub("0x[0-9a-f]+", "", recorded.stderr) == re.sub("0x[0-9a-f]+", "", plain.stderr)
    assert "ValueError: at shutdown" in recorded.stderr
    verified = verify("--output")
    assert (verified.status, verified.stdout) == (0, recorded.stdout)
    assert verified.stderr.startswith(recorded.stderr)


PRINT_ON = "import sys\nfor number in range(10**9):\n    sys.stdout.write(f'{number}\\n')\n    sys.stdout.flush()\n"


def test_what_was_said_before_a_kill_from_outside_is_kept(here: Path) -> None:
    Path("program.py").write_text(PRINT_ON)
    command = [SCOPE, "record", "-q", "-o", "trace.db", "program.py"]
    recording = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert recording.stdout is not None
    assert recording.stdout.readline() == b"0\n"
    pid = int(Path(f"/proc/{recording.pid}/task/{recording.pid}/children").read_text().split()[0])
    said = b"0\n" + b"".join(recording.stdout.readline() for _ in range(20_000))
    os.kill(pid, signal.SIGKILL)
    said += recording.stdout.read()
    recording.stdout.close()
    assert recording.wait(SECONDS) == 137
    kept = recorded_output().encode()
    # The very last call may have written without having come back when it was killed.
    assert said.startswith(kept)
    assert said[len(kept) :].count(b"\n") <= 1
    assert len(kept) > 100_000
    assert verify().status == 0


LOOPS = {
    "lines": "number = 0\nwhile True:\n    number += 1\n",
    "one-line": "number = 0\nwhile True: number += 1\n",
    "in-c": "import itertools\nfor _ in itertools.repeat(0): max(range(1 << 22))\n",
    "asleep": "time.sleep(1000)\n",
}


@pytest.mark.parametrize("loop", LOOPS)
def test_a_program_killed_where_it_asks_for_nothing_does_not_replay_for_ever(loop: str, here: Path) -> None:
    dying = "import threading\nif not os.fork():\n    time.sleep(0.4)\n    os.kill(os.getppid(), 9)\n    os._exit(0)\n"
    recorded = record(HEAD + dying + "print('looping', flush=True)\n" + LOOPS[loop])
    assert (recorded.status, recorded.stdout) == (137, "looping\n")
    verified = verify()
    assert verified.status == 0, verified.stderr
    assert verified.stderr.startswith("scope: process 1: the process was killed by signal 9")
    assert ("how far it got after its last input is not recorded" in verified.stderr) == (loop != "asleep")
    if loop == "in-c":
        return  # going there and back again takes its time
    ended = run(SCOPE, "replay", "trace.db", "-x", "goto end", "-x", "reverse-step", "-x", "where")
    assert ended.status == 0, ended.stderr
    assert "killed by signal 9" in ended.stdout
    assert "program.py" in ended.stdout


def test_a_replay_that_dies_otherwise_than_the_program_is_a_divergence(here: Path) -> None:
    """The address is an input, and in the replay something else is there."""
    recorded = record("import ctypes\nkept = b'here'\nprint(ctypes.string_at(id(kept) + 32, 4))\n")
    assert (recorded.status, recorded.stdout) == (0, "b'here'\n")
    verified = verify()
    assert verified.status == 3, verified.stdout


# --- what stores the recording fails


@pytest.fixture
def small_disk(here: Path) -> Iterator[Path]:
    folder = here / "small"
    folder.mkdir()
    mounted = run("mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder))
    if mounted.status:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_trace_on_a_full_disk_is_verified_to_its_end(here: Path, small_disk: Path) -> None:
    Path("program.py").write_text("import os\nfor _ in range(300): os.urandom(100_000)\nprint('done')\n")
    recorded = run(SCOPE, "record", "-o", "small/trace.db", "program.py")
    assert (recorded.status, recorded.stdout) == (0, "done\n")
    assert "the disk is full; the program goes on, and the trace is good up to here" in recorded.stderr
    told = run(SCOPE, "info", "small/trace.db")
    assert "stopped before the program ended (the disk is full); good up to there" in told.stdout
    verified = run(SCOPE, "verify", "small/trace.db")
    assert (verified.status, verified.stderr) == (0, "scope: the disk is full: verified up to there\n")


WRITES_MUCH = """
import os, sys, time
print("ready", flush=True)
end = time.monotonic() + 3
while time.monotonic() < end: time.time()
open("done", "w").write("done")
"""


@pytest.mark.parametrize("first", [signal.SIGCONT, signal.SIGSTOP], ids=["running", "ring-full"])
def test_the_program_outlives_a_killed_drain_that_nobody_buries(first: signal.Signals, here: Path) -> None:
    """The killed process stays a zombie while we wait; stopped before, it leaves the ring full."""
    Path("program.py").write_text(WRITES_MUCH)
    command = [SCOPE, "record", "-q", "-o", "trace.db", "program.py"]
    recording = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert recording.stdout is not None
    assert recording.stderr is not None
    assert recording.stdout.readline() == b"ready\n"
    time.sleep(0.6)  # for a first commit
    recording.send_signal(first)
    time.sleep(0.5)
    recording.kill()
    deadline = time.monotonic() + SECONDS
    while not Path("done").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert Path("done").read_text() == "done"
    said = recording.stderr.read().decode()
    recording.communicate()
    assert said.startswith("scope: the process that stores the recording is gone")
    assert said.count("\n") == 1
    assert "the recording process was killed; good up to its last commit" in run(SCOPE, "info", "trace.db").stdout
    assert verify().status == 0


# --- replay far from home

FAR = """
import datetime, json, os, sys, time
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import beside
print(beside.NAME, os.getcwd(), os.path.expanduser("~"), os.environ.get("GREETING"), sorted(os.listdir(".")))
print(time.strftime("%H:%M %Z", time.localtime(86400)), datetime.datetime.now().astimezone().tzname(), time.tzname)
print(json.load(open("data.json")), os.stat("data.json").st_size, sys.getfilesystemencoding(), sys.flags.utf8_mode)
with open("written.txt", "w") as out:
    out.write("written")
os.mkdir("made"); os.rename("written.txt", "made/renamed.txt"); os.symlink("made", "link")
"""


def lay_out(folder: Path) -> None:
    folder.mkdir()
    (folder / "program.py").write_text(FAR)
    (folder / "beside.py").write_text("NAME = 'as recorded'\n")
    (folder / "data.json").write_text('{"one": 1}')


def home_and_away(here: Path) -> tuple[dict[str, str], dict[str, str]]:
    always = {name: os.environ[name] for name in ("LD_PRELOAD", "ASAN_OPTIONS") if name in os.environ}
    home = {**always, "PATH": os.environ["PATH"], "HOME": "/root", "LANG": "C.UTF-8", "TZ": "UTC", "GREETING": "hi"}
    (here / "decoy").mkdir()
    for name in ("beside",):
        (here / "decoy" / f"{name}.py").write_text("raise SystemExit('the wrong module')\n")
    away = {
        **always, "PATH": "/nonexistent", "HOME": "/nonexistent", "LANG": "de_DE.ISO-8859-1", "LC_ALL": "C",
        "TZ": "Asia/Tokyo", "PYTHONPATH": str(here / "decoy"), "PYTHONHASHSEED": "77", "PYTHONUTF8": "0",
        "PYTHONDONTWRITEBYTECODE": "", "PYTHONSTARTUP": "/nonexistent", "PYTHONOPTIMIZE": "2",
    }  # fmt: skip
    return home, away


CHANGES: dict[str, Callable[[Path], object]] = {
    "unchanged": lambda folder: None,
    "edited": lambda folder: [(folder / name).write_text("1/0\n") for name in ("program.py", "beside.py", "data.json")],
    "moved": lambda folder: folder.rename(folder.with_name("elsewhere")),
    "deleted": shutil.rmtree,
    "unreadable": lambda folder: subprocess.run(["chmod", "-R", "000", folder], check=True),
}


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_around_a_replay_matters(change: str, here: Path) -> None:
    home, away = home_and_away(here)
    folder, far = here / "run", here / "far"
    lay_out(folder)
    far.mkdir()
    trace = str(here / "trace.db")
    recorded = run(SCOPE, "record", "-q", "-o", trace, "program.py", env=home, cwd=folder)
    assert recorded.status == 0, recorded.stderr
    assert "as recorded" in recorded.stdout
    shutil.rmtree(folder / "made")
    (folder / "link").unlink()
    CHANGES[change](folder)
    before = sorted((str(path), path.lstat().st_mtime_ns) for path in here.rglob("*"))
    verified = run(SCOPE, "verify", trace, "--output", env=away, cwd=far)
    assert verified.status == 0, verified.stderr
    assert verified.stdout == recorded.stdout
    shown = run(SCOPE, "replay", trace, "-x", "goto end", "-x", "reverse-step", "-x", "print beside.NAME, TZ", env=away)
    assert "'as recorded'" in shown.stdout or "TZ" in shown.stdout + shown.stderr
    after = sorted((str(path), path.lstat().st_mtime_ns) for path in here.rglob("*"))
    assert after == before, "the replay wrote"


def test_the_hostile_program_replays_from_an_empty_folder(here: Path) -> None:
    shutil.copytree(FIXTURES / "hostile", here / "hostile", ignore=shutil.ignore_patterns("__pycache__"))
    recorded = run(SCOPE, "record", "-q", "-o", "trace.db", "hostile/main.py")
    shutil.rmtree(here / "hostile/elsewhere")
    plain = run(sys.executable, "hostile/main.py")
    assert (recorded.status, recorded.stdout, recorded.stderr) == (plain.status, plain.stdout, plain.stderr)
    shutil.rmtree(here / "hostile")
    verified = verify("--output")
    assert (verified.status, verified.stdout) == (0, recorded.stdout)
    assert os.listdir(here) == ["trace.db"]


# --- the seal: what the C library does in one go, or nobody has listed, passes the boundary

SEALED = """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)

def attempt():
    return {statement}

def caller():
    print("allowed while recording", attempt() > 0)

caller()
"""


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        (f"libc.syscall({198 if os.uname().machine == 'aarch64' else 41}, 2, 1, 0)", "socket(AF_INET)"),
        ("libc.creat(b'{file}', 0o600)", 'creat("{file}")'),
    ],
    ids=["socket", "file"],
)
def test_what_an_extension_tries_in_a_replay_is_refused_and_named(statement: str, named: str, here: Path) -> None:
    file = here / "made.txt"
    recorded = record(SEALED.format(statement=statement.format(file=file)))
    assert (recorded.status, recorded.stdout) == (0, "allowed while recording True\n")
    file.unlink(missing_ok=True)
    verified = verify()
    assert verified.status == 3
    assert f"the system call {named.format(file=file)}, which was not recorded" in verified.stderr
    stack = [line.strip().rpartition(", ")[2] for line in verified.stderr.splitlines() if "program.py" in line]
    assert stack == ["in <module>", "in caller", "in attempt"]
    assert not file.exists()
