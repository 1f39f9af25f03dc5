"""`scope record` as a process: exit statuses, signals, the terminal, and what it says; against plain Python."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from retroscope.recorder.command_lines import own_flags, passed_on
from retroscope.trace import open_trace

RECORD = [sys.executable, "-m", "retroscope.cli", "record", "-o", "trace.db"]

HANDLERS = """
import signal, sys, time
def note(number, frame):
    print(signal.Signals(number).name, flush=True)
for each in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
    signal.signal(each, note)
print("ready", flush=True)
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    time.sleep(0.02)
sys.exit(5)
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, **options)  # type: ignore[call-overload,no-any-return]


def as_a_shell_says(status: int) -> int:
    return status if status >= 0 else 128 - status


@pytest.mark.parametrize(
    "code",
    [
        "print('out'); import sys; print('err', file=sys.stderr)",
        "raise SystemExit(3)",
        "raise SystemExit('text')",
        "1 / 0",
        "import os; os._exit(9)",
        "import os; os.abort()",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
        "import sys; print(sys.stdin.read().upper())",
        "print('\udcff')",  # a byte that is no text
    ],
)
def test_status_and_output_are_those_of_plain_python(code: str) -> None:
    plain = run(sys.executable, "-c", code, input="typed")
    recorded = run(*RECORD, "-c", code, input="typed")
    assert recorded.returncode == as_a_shell_says(plain.returncode)
    assert recorded.stdout == plain.stdout
    assert recorded.stderr == plain.stderr
    with open_trace("trace.db") as trace:
        assert trace.state == "complete"
        process = trace.process(1)
        assert (process.ended, process.number) == (
            ("exited", plain.returncode) if plain.returncode >= 0 else ("signal", -plain.returncode)
        )


@pytest.mark.parametrize(
    "content", [b"#\0\n#\xfd\n", b"print(1)\n\0x = 1\n", b"x = '\xff'\n\0", b"# coding: nothing\n", b"x = (\n"]
)
def test_a_file_that_is_no_source_is_complained_of_as_by_plain_python(content: bytes, here: Path) -> None:
    (here / "bad.py").write_bytes(content)
    plain = run(sys.executable, "bad.py")
    recorded = run(*RECORD, "-q", "bad.py")
    assert (recorded.returncode, recorded.stderr) == (plain.returncode, plain.stderr)
    assert plain.returncode == 1


LOOK = """
import json, os, signal, sys
facts = {
    "argv": sys.argv, "flags": list(sys.flags), "xoptions": sys._xoptions, "warnoptions": sys.warnoptions,
    "path": sys.path, "executable": sys.executable, "environ": dict(os.environ), "order": list(os.environ),
    "handlers": [str(signal.getsignal(each)) for each in signal.valid_signals()],
    "mask": list(signal.pthread_sigmask(signal.SIG_BLOCK, [])), "group": os.getpgrp(),
    "lowest": os.open("/dev/null", os.O_RDONLY), "umask": os.umask(0o22),
}
print(json.dumps(facts, default=str))
"""


@pytest.mark.parametrize("flags", [[], ["-X", "dev", "-W", "error"], ["-bOO"], ["-B", "-s", "-X", "utf8"]])
def test_the_program_finds_what_plain_python_gives(here: Path, flags: list[str]) -> None:
    (here / "look.py").write_text(LOOK)
    plain = run(sys.executable, *flags, "look.py", "-m", "x", "--", "-o")
    recorded = run(sys.executable, *flags, *RECORD[1:], "look.py", "-m", "x", "--", "-o")
    assert recorded.returncode == 0, recorded.stderr
    assert json.loads(recorded.stdout) == json.loads(plain.stdout)


def test_the_users_own_hash_seed_stays() -> None:
    code = "import os; print(os.environ.get('PYTHONHASHSEED'), hash('text'))"
    for seed in ("17", "0"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        plain = run(sys.executable, "-c", code, env=environment)
        assert run(*RECORD, "-c", code, env=environment).stdout == plain.stdout
    environment["PYTHONHASHSEED"] = "random"
    answers = {run(*RECORD, "-c", code, env=environment).stdout for _ in range(3)}
    assert len(answers) == 3
    assert all(answer.startswith("random ") for answer in answers)


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        (["python", "scope", "-x"], []),
        (["python", "-I", "-m", "retroscope.cli", "-v"], ["-I"]),
        (["python", "-bX", "dev", "-Wall", "-Werror::x", "scope"], ["-b", "-X", "dev", "-W", "all", "-W", "error::x"]),
        (["python", "-OOcpass", "-q"], ["-O", "-O"]),
        (["python", "--check-hash-based-pycs", "always", "-B", "scope"], ["--check-hash-based-pycs", "always", "-B"]),
        (["python", "-"], []),
        (["python"], []),
    ],
)
def test_the_interpreters_own_flags_are_found(command: list[str], flags: list[str]) -> None:
    assert own_flags(command) == flags


def test_values_of_flags_are_no_flags_that_start_up_applies() -> None:
    assert passed_on(["-W", "d", "-I", "-X", "E", "-b", "-S"]) == ["-W", "d", "-X", "E", "-b"]


@pytest.mark.parametrize("flags", [["-Wd"], ["-W", "e"], ["-IWd", "-X", "dev"]])
def test_a_recorded_python_and_its_child_get_values_of_one_letter(flags: list[str], tmp_path: Path) -> None:
    code = "import sys; print(sys.warnoptions, sys.flags.isolated, sys.flags.dev_mode, flush=True)"
    child = f"import subprocess, sys; {code}; subprocess.run([sys.executable, *{flags}, '-c', {code!r}])"
    plain = subprocess.run([sys.executable, *flags, "-c", child], capture_output=True, text=True, check=True)
    command = [sys.executable, *flags, *RECORD[1:], "-q", "-c", child]
    recorded = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (recorded.stdout, recorded.stderr) == (plain.stdout, plain.stderr)
    assert recorded.stdout.count("\n") == 2


# --- signals


def start(*words: str) -> subprocess.Popen[str]:
    recording = subprocess.Popen([*RECORD, "-c", *words], stdout=subprocess.PIPE, text=True)
    assert recording.stdout is not None
    assert recording.stdout.readline() == "ready\n"
    return recording


def test_signals_sent_to_us_reach_the_program_once() -> None:
    recording = start(HANDLERS, "1.5")
    sent = [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGINT]
    for each in sent:
        recording.send_signal(each)
        assert recording.stdout is not None
        assert recording.stdout.readline() == each.name + "\n"
    rest, _ = recording.communicate(timeout=30)
    assert rest == ""
    assert recording.returncode == 5


def test_a_signal_that_kills_the_program_is_our_status() -> None:
    recording = start("import time; print('ready', flush=True); time.sleep(60)")
    recording.send_signal(signal.SIGTERM)
    recording.communicate(timeout=30)
    assert recording.returncode == 128 + signal.SIGTERM
    with open_trace("trace.db") as trace:
        assert (trace.state, trace.process(1).ended, trace.process(1).number) == ("complete", "signal", signal.SIGTERM)


def test_the_trace_can_be_read_while_the_program_runs() -> None:
    recording = start("import time; print('ready', flush=True); [time.sleep(0.001) for _ in range(1500)]")
    time.sleep(0.8)
    with open_trace("trace.db") as trace:
        assert trace.state == "recording"
        seen = trace.process(1).records
        assert seen > 100
        assert sum(1 for _ in trace.records(1)) == seen
    recording.communicate(timeout=30)
    with open_trace("trace.db") as trace:
        assert trace.process(1).records > seen


def test_the_program_outlives_its_drain() -> None:
    recording = start(
        "import os, time; print('ready', flush=True)\n"
        "for i in range(150): time.sleep(0.01); time.time()\n"
        "open('done', 'w').write(str(os.getppid()))"
    )
    time.sleep(0.7)
    recording.kill()
    recording.communicate(timeout=30)
    deadline = time.monotonic() + 20
    while not os.path.exists("done") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert os.path.exists("done")
    with open_trace("trace.db") as trace:
        assert trace.state == "cut off"
        assert trace.process(1).records > 20


# --- the terminal


class Terminal:
    """`scope record`, or another command, in a session with a terminal of its own."""

    def __init__(self, *words: str, command: Sequence[str] = ()) -> None:
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            command = command or [*RECORD, *words]
            os.execvp(command[0], list(command))
        self.shown = ""

    def expect(self, text: str, *, count: int = 1, seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds
        while self.shown.count(text) < count:
            ready, _, _ = select.select([self.descriptor], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{text!r} did not come; there was {self.shown!r}"
            self.shown += self._read()

    def _read(self) -> str:
        try:
            return os.read(self.descriptor, 10000).decode()
        except OSError:  # the other side is closed
            raise AssertionError(f"it ended; there was {self.shown!r}") from None

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def end(self) -> int:
        """Reads to the end; the exit status."""
        while True:
            try:
                self.shown += os.read(self.descriptor, 10000).decode()
            except OSError:
                break
        os.close(self.descriptor)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_the_closing_line_on_a_terminal() -> None:
    terminal = Terminal("-c", "print('hello')")
    assert terminal.end() == 0
    lines = terminal.shown.splitlines()
    assert lines[0] == "hello"
    assert lines[1].startswith("scope: recorded ")
    assert lines[1].endswith("; open it with: scope replay trace.db")
    assert "inputs of -c … in " in lines[1]


def test_no_closing_line_when_quiet() -> None:
    terminal = Terminal("-q", "-c", "print('hello')")
    assert terminal.end() == 0
    assert terminal.shown == "hello\r\n"


def test_an_interrupt_from_the_terminal_reaches_the_program_once() -> None:
    terminal = Terminal("-q", "-c", HANDLERS, "1")
    terminal.expect("ready")
    terminal.type("\x03")
    terminal.expect("SIGINT")
    assert terminal.end() == 5
    assert terminal.shown.count("SIGINT") == 1


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash, a shell with jobs")
def test_stopping_and_continuing_by_a_shell(here: Path) -> None:
    (here / "talk.py").write_text("print('rea' + 'dy')\nfor _ in range(2): print('you said', input())")
    shell = Terminal(command=["bash", "--norc", "--noediting", "-i"])
    shell.type(" ".join([*RECORD, "-q", "talk.py", "; echo status $?", "\n"]))
    shell.expect("ready")
    for turn, word in enumerate(("one", "two"), 1):
        shell.type("\x1a")
        shell.expect("Stopped", count=turn)
        shell.type("fg\n")
        shell.type(word + "\n")
        shell.expect(f"you said {word}")
    shell.type("exit\n")
    assert shell.end() == 0
    with open_trace("trace.db") as trace:
        assert (trace.process(1).ended, trace.process(1).number) == ("exited", 0)


def test_a_program_that_stops_itself_stops_us_too() -> None:
    terminal = Terminal("-q", "-c", "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\nprint('again')")
    assert os.WIFSTOPPED(os.waitpid(terminal.pid, os.WUNTRACED)[1])
    os.killpg(os.getpgid(terminal.pid), signal.SIGCONT)
    terminal.expect("again")
    assert terminal.end() == 0


# --- what goes wrong


def test_a_full_disk_does_not_touch_the_program(here: Path) -> None:
    (here / "small").mkdir()
    if run("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", "small").returncode:
        pytest.skip("no tmpfs can be mounted here")
    code = "import os\nfor _ in range(80): os.urandom(100_000)\nprint('done')\nraise SystemExit(6)"
    try:
        recorded = run(*RECORD[:-1], "small/trace.db", "-c", code)
        assert recorded.returncode == 6
        assert recorded.stdout == "done\n"
        said = "scope: recording stopped: the disk is full; the program goes on, and the trace is good up to here\n"
        assert recorded.stderr == said
        with open_trace("small/trace.db") as trace:
            assert (trace.state, trace.reason) == ("stopped", "the disk is full")
            assert len(list(trace.records(1))) == trace.process(1).records
    finally:
        run("umount", "small")


@pytest.mark.parametrize("taken", ["os.remove('trace.db')", "open('new', 'w').close(); os.replace('new', 'trace.db')"])
def test_a_trace_that_is_taken_away_is_told(taken: str) -> None:
    begun = "import os, time\nwhile not os.path.exists('trace.db'): time.sleep(0.01)\n"
    done = run(*RECORD, "-c", f"{begun}{taken}; print('done'); raise SystemExit(3)")
    assert (done.returncode, done.stdout) == (3, "done\n")
    said = "trace.db was moved, removed or replaced while the program ran, and the recording with it"
    assert done.stderr == f"scope: {said}\n"


def test_nothing_runs_when_the_trace_cannot_be_written(here: Path) -> None:
    (here / "trace.db").write_text("precious")
    recorded = run(*RECORD, "-c", "open('ran', 'w')")
    assert recorded.returncode == 1
    assert recorded.stderr.count("\n") == 1
    assert "trace.db: exists and is not a trace of Retroscope" in recorded.stderr
    assert (here / "trace.db").read_text() == "precious"
    assert os.listdir(here) == ["trace.db"]


def test_a_missing_package_costs_the_recording_not_the_program(here: Path) -> None:
    (here / "broken").mkdir()
    (here / "broken" / "zstandard.py").write_text("raise ImportError('zstandard is broken')")
    environment = {**os.environ, "PYTHONPATH": f"{here / 'broken'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    recorded = run(*RECORD, "-c", "print('done')", env=environment)
    assert (recorded.returncode, recorded.stdout) == (0, "done\n")
    assert "zstandard is broken" in recorded.stderr
    assert "the program goes on unrecorded" in recorded.stderr
    assert "Traceback" not in recorded.stderr
    assert not (here / "trace.db").exists()
