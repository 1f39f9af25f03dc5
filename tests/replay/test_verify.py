"""`scope verify` from the outside: its last line, the program's output, and every way in which it must not succeed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from retroscope.cli.main import main
from retroscope.replay.interpreter import WrongInterpreter, find_interpreter
from retroscope.replay.process import ReplayProcess
from retroscope.replay.protocol import Stopped, Want
from retroscope.replay.recording import Recording, Start
from retroscope.replay.verify import verify_trace

from tests.recordings import recorder
from tests.replay.conftest import PROGRAMS, SCOPE, Recorder

CLOSING = r"replayed \d+ ticks, \d+ inputs, 1 processes, 0 divergences\n"


def scope(*words: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([SCOPE, *map(str, words)], capture_output=True, check=False)


def test_the_last_line_says_what_was_replayed(recorded: Recorder) -> None:
    done = scope("verify", recorded("walked"))
    assert (done.returncode, done.stderr) == (0, b"")
    assert re.fullmatch(CLOSING, done.stdout.decode())
    assert scope("verify", "-q", recorded("walked")).stdout == b""


def test_output_is_the_programs_own_byte_for_byte(recorded: Recorder) -> None:
    plain = subprocess.run([sys.executable, str(PROGRAMS / "walked.py")], capture_output=True, check=False)
    done = scope("verify", "--output", recorded("walked"))
    assert (done.returncode, done.stdout) == (0, plain.stdout)
    assert re.fullmatch(re.escape(plain.stderr.decode()) + CLOSING, done.stderr.decode())


def test_ticks_that_are_only_counted_are_as_many_as_those_that_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = Recording(str(recorder(tmp_path)("programs/one_line_functions")))
    run = ReplayProcess.run

    def run_seeing_all(process: ReplayProcess, until: int, want: int) -> Stopped:
        return run(process, until, want & ~Want.TOTALS)

    try:
        counted = verify_trace(recording, None, lambda *_: None)
        monkeypatch.setattr(ReplayProcess, "run", run_seeing_all)
        assert verify_trace(recording, None, lambda *_: None) == counted
    finally:
        recording.close()
    assert [each.process for each in counted] == [1, 2]
    assert counted[0].ticks > 100_000


def test_a_program_that_asks_where_its_caller_is(tmp_path: Path) -> None:
    program = tmp_path / "asks.py"
    program.write_text(
        "import sys\ndef where(): return sys._getframe(1).f_lasti\ndef ask(): return where()\nprint(ask())\n"
    )
    recorded = scope("record", "-q", "-o", tmp_path / "asks.db", program)
    done = scope("verify", tmp_path / "asks.db", "--output")
    assert (done.returncode, done.stdout) == (0, recorded.stdout), done.stderr


def test_a_killed_recording_is_verified_up_to_there(tmp_path: Path) -> None:
    program = tmp_path / "endless.py"
    program.write_text("import time\nwhile True:\n    time.time()\n    print('on', flush=True)\n    time.sleep(0.01)\n")
    trace = tmp_path / "cut.db"
    command = [SCOPE, "record", "-q", "-o", str(trace), str(program)]
    recording = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    assert recording.stdout is not None
    for _ in range(5):
        recording.stdout.readline()
    for pid in children(recording.pid):
        if b"startup.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    recording.stdout.read()
    recording.stdout.close()
    assert recording.wait(20) == 137
    done = scope("verify", trace)
    assert done.returncode == 0, done.stderr
    assert b"killed by signal 9" in done.stderr
    assert re.fullmatch(CLOSING, done.stdout.decode())
    ended = scope("replay", trace, "-x", "goto end", "-x", "rs", "-x", "where")
    assert ended.returncode == 0, ended.stderr
    assert b"the recording ends here: the process was killed by signal 9" in ended.stdout


def children(pid: int) -> list[int]:
    """Direct and indirect children."""
    found = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return found + [grandchild for child in found for grandchild in children(child)]


def test_no_trace_and_no_process(recorded: Recorder, tmp_path: Path) -> None:
    for words, status in (
        (("verify", tmp_path / "missing.db"), 1),
        (("verify", PROGRAMS / "walked.py"), 4),
        (("verify", recorded("walked"), "--process", "7"), 1),
        (("replay", tmp_path / "missing.db", "-x", "tick"), 1),
    ):
        done = scope(*words)
        assert done.returncode == status, words
        assert done.stderr.count(b"\n") == 1, done.stderr
        assert b"Traceback" not in done.stderr


def test_an_edited_program_changes_nothing_and_a_deleted_one_neither(tmp_path: Path) -> None:
    program = tmp_path / "here.py"
    program.write_text("number = 41\nprint(number + 1)\n")
    scope("record", "-q", "-o", tmp_path / "t.db", program)
    program.write_text("raise SystemExit('edited')\n")
    shown = scope("replay", tmp_path / "t.db", "-x", "n", "-x", "print number")
    assert shown.stdout.decode().splitlines()[-2:] == ["    2 -> print(number + 1)", "41"]
    program.unlink()
    assert scope("verify", tmp_path / "t.db").returncode == 0


def start_of(recording: Recording, **changes: object) -> Start:
    from dataclasses import replace

    return replace(recording.start, **changes)  # type: ignore[arg-type]


def test_only_the_same_python_replays(recorded: Recorder, tmp_path: Path) -> None:
    recording = Recording(str(recorded("walked")))
    try:
        assert find_interpreter(recording.start, "t.db") == recording.start.executable
        moved = start_of(recording, executable="/nowhere/bin/python3")
        assert os.path.exists(find_interpreter(moved, "t.db"))
        other = start_of(recording, hexversion=0x030B63F0, version="3.11.99 (main, Jan  1 2020, 00:00:00) [GCC 1.2]")
        with pytest.raises(
            WrongInterpreter, match=r"^t\.db was recorded by Python 3\.11\.99 \(main, Jan  1 2020, 00:00:00\)"
        ):
            find_interpreter(other, "t.db")
    finally:
        recording.close()


def test_a_trace_cannot_name_any_program_as_its_python(recorded: Recorder, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    evil = tmp_path / "evil"
    evil.write_text(f"#!/bin/sh\ntouch {mark}\n")
    evil.chmod(0o755)
    recording = Recording(str(recorded("walked")))
    try:
        find_interpreter(start_of(recording, executable=str(evil)), "t.db")
    finally:
        recording.close()
    assert not mark.exists()


def test_a_divergence_is_told_whole_and_ends_with_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A module whose recorded source says something else: the program then takes another way than the recorded one."""
    program = tmp_path / "reader.py"
    program.write_text("import helper\nprint(open('data.txt').read(helper.size))\n")
    (tmp_path / "helper.py").write_text("size = 3\n")
    (tmp_path / "data.txt").write_text("abcdef")
    trace = tmp_path / "t.db"
    subprocess.run(
        [SCOPE, "record", "-q", "-o", str(trace), str(program)], cwd=tmp_path, capture_output=True, check=True
    )

    def twisted(recording: Recording, descriptor: int) -> int:
        stream = b"".join(recording._trace.stream(1))
        assert stream.count(b"size = 3\n") == 1
        return os.write(descriptor, stream.replace(b"size = 3\n", b"size = 5\n"))

    assert main(["verify", str(trace)]) == 0
    monkeypatch.setattr(Recording, "flat", twisted)
    capfd.readouterr()
    assert main(["verify", str(trace)]) == 3
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("scope: The replay diverged from the recording at input ")
    assert "reader.py:2 in <module>" in err
    assert "last agreeing input" in err
    assert main(["replay", str(trace), "-x", "continue", "-x", "tick"]) == 3
    out, err = capfd.readouterr()
    assert out.startswith("diverged · tick ") and "\nThe replay diverged" in out
    assert "reader.py:2 in <module>" in out
    assert "nothing after this tick can be trusted" in err


@pytest.mark.alone
def test_it_takes_no_longer_than_it_must(recorded: Recorder) -> None:
    began = time.monotonic()
    assert scope("verify", recorded("long")).returncode == 0
    assert time.monotonic() - began < 20
