"""Programs of many processes: all in one trace, each replayed by itself; what `info` says of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from retroscope.replay.moments import Diverged
from retroscope.replay.recording import Recording
from retroscope.replay.verify import verify_trace

SCOPE = str(Path(sys.executable).parent / "scope")
FIXTURES = Path(__file__).parents[2] / "fixtures" / "programs"
CLOSING = re.compile(r"replayed \d+ ticks, \d+ inputs, (\d+) processes, 0 divergences\n\Z")
SECONDS = 60
PROGRAMS = {
    "processes_fork": 19,
    "processes_threads": 3,
    "processes_pool": 0,
    "processes_pool spawn": 0,
    "processes_pool forkserver": 0,
    "processes_memory": 0,
    "processes_shared_cells": 0,
    "processes_programs": 18,
    "processes_terminals": 3,
}
"""Command line: number of processes, 0 where it is not always the same."""


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=SECONDS, check=False,
        env={"PATH": os.environ["PATH"], "HOME": "/root", "LANG": "C.UTF-8"},
    )  # fmt: skip


def lines(text: str) -> list[str]:
    """What several processes wrote, whoever was first."""
    return sorted(text.splitlines())


def processes_of(trace: Path) -> list[dict[str, object]]:
    found = json.loads(run(SCOPE, "info", "--json", trace, cwd=trace.parent).stdout)["processes"]
    assert isinstance(found, list)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def record(
    folder: Path, program: str, text: str | None = None, *arguments: str
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Records a program of fixtures, or one of this text, in `folder`."""
    trace = folder.parent / f"{program}.db"
    if text is None:
        shutil.copy(FIXTURES / f"{program}.py", folder)
    else:
        (folder / f"{program}.py").write_text(text)
    return trace, run(SCOPE, "record", "-q", "-o", trace, f"{program}.py", *arguments, cwd=folder)


@pytest.mark.parametrize("command", PROGRAMS)
def test_all_processes_do_what_plain_python_does_and_replay_it(command: str, folder: Path) -> None:
    program, *arguments = command.split()
    trace, recorded = record(folder, program, None, *arguments)
    plain = run(sys.executable, f"{program}.py", *arguments, cwd=folder)
    assert (recorded.returncode, lines(recorded.stdout)) == (plain.returncode, lines(plain.stdout)), recorded.stderr
    assert recorded.stderr == plain.stderr
    shutil.rmtree(folder)
    verified = run(SCOPE, "verify", "--output", trace, cwd=trace.parent)
    closing = CLOSING.search(verified.stderr)
    assert verified.returncode == 0 and closing, verified.stderr
    everything = lines(verified.stdout)
    assert [line for line in lines(plain.stdout) if line not in everything] == []
    assert int(closing[1]) == len(processes_of(trace))
    assert PROGRAMS[command] in (0, int(closing[1]))


def test_each_process_replays_by_itself(folder: Path) -> None:
    trace, recorded = record(folder, "processes_fork")
    everything = []
    for process in processes_of(trace):
        verified = run(SCOPE, "verify", "--output", "--process", str(process["id"]), trace, cwd=trace.parent)
        closing = CLOSING.search(verified.stderr)
        assert verified.returncode == 0 and closing and closing[1] == "1", verified.stderr
        assert f"{process['inputs']} inputs" in closing[0]
        everything.append(verified.stdout)
    assert lines("".join(everything)) == lines(recorded.stdout)


def test_info_knows_parents_and_how_each_process_ended(folder: Path) -> None:
    trace, _ = record(
        folder, "family",
        "import os, sys, time\n"
        "def child(work):\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        work()\n"
        "    return os.waitpid(pid, 0)\n"
        "child(lambda: sys.exit(7))\n"
        "child(lambda: os._exit(9))\n"
        "child(lambda: os.kill(os.getpid(), 15))\n"
        "child(lambda: sys.exit(os.waitstatus_to_exitcode(child(lambda: os._exit(2))[1])))\n",
    )  # fmt: skip
    found = processes_of(trace)
    pids = [process["pid"] for process in found]
    assert len(set(pids)) == 6
    assert [process["parent"] for process in found] == [None, 1, 1, 1, 1, 5]
    assert [process["ended"] for process in found] == ["exited", "exited", "exited", "signal", "exited", "exited"]
    assert [process["status"] for process in found] == [0, 7, 9, None, 2, 2]
    assert found[3]["signal"] == 15


def test_a_prompt_on_a_child_stands_behind_the_fork_and_knows_what_was_before(folder: Path) -> None:
    trace, _ = record(
        folder, "walk",
        "import os\n"
        "kept = ['parent']\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    kept.append('child')\n"
        "    os._exit(0)\n"
        "kept.append('still parent')\n"
        "os.waitpid(pid, 0)\n",
    )  # fmt: skip
    commands = ("where", "print kept, pid", "step", "step", "print kept", "goto 1", "goto end", "processes")
    shown = run(SCOPE, "replay", "--process", "2", *(word for each in commands for word in ("-x", each)), trace,
                cwd=folder)  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert "walk.py:4" in shown.stdout
    assert "(['parent'], 0)" in shown.stdout
    assert "['parent', 'child']" in shown.stdout
    assert "exit status 0" in shown.stdout
    assert f"2  forked, from process 1, pid {processes_of(trace)[1]['pid']}" in shown.stdout


def test_a_child_that_takes_another_way_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An input of the child is changed: the parent's replay does not notice, the child's does, and says whose it is."""
    text = "import os\nif os.fork() == 0:\n    os.write(1, b'%d' % os.getppid())\n    os._exit(0)\nos.wait()\n"
    trace, _ = record(folder, "other", text)
    first = Recording(str(trace))
    before, after = (b"i" + struct.pack("<q", pid) for pid in (first.process.pid, first.process.pid + 1))

    def changed(recording: Recording, descriptor: int) -> None:
        stream = b"".join(recording.stream_own())
        assert before in stream
        os.write(descriptor, stream.replace(before, after))

    assert [each.process for each in verify_trace(first, None, lambda *_: None)] == [1, 2]
    monkeypatch.setattr(Recording, "flat_own", changed)
    with pytest.raises(Diverged, match=r"process 2: .*posix.write as recorded, but with other arguments"):
        verify_trace(first, None, lambda *_: None)
    first.close()


def test_output_that_a_child_writes_to_the_other_stream_comes_out_there(folder: Path) -> None:
    writes = "import os; os.write(1, b'out\\n'); os.write(2, b'err\\n')"
    trace, recorded = record(
        folder,
        "crossed",
        "import subprocess, sys\n"
        f"child = [sys.executable, '-c', {writes!r}]\n"
        "subprocess.run(child, stderr=subprocess.STDOUT)\n"
        "subprocess.run(child, stdout=2)\n"
        "subprocess.run(child, capture_output=True)\n",
    )
    assert (recorded.stdout, recorded.stderr) == ("out\nerr\n", "out\nerr\n")
    verified = run(SCOPE, "verify", "--output", trace, cwd=folder)
    assert (verified.returncode, verified.stdout, CLOSING.sub("", verified.stderr)) == (0, "out\nerr\n", "out\nerr\n")


def test_a_recording_in_a_recording_is_another_program(folder: Path) -> None:
    inner = "import subprocess, sys; sys.exit(3 + subprocess.run([sys.executable, '-c', 'print(1)']).returncode)"
    trace, recorded = record(
        folder,
        "nested",
        "import subprocess, sys\n"
        "for command in (['record', '-q', '-o', 'inner.db', '-c', sys.argv[1]], ['verify', '-q', 'inner.db']):\n"
        "    print(subprocess.run([sys.executable, '-m', 'retroscope', *command]).returncode, flush=True)\n"
        "    print(subprocess.run([sys.argv[2], *command]).returncode, flush=True)\n",
        inner,
        SCOPE,
    )
    assert (recorded.stdout, recorded.stderr) == ("1\n3\n1\n3\n0\n0\n", "")
    assert [process["status"] for process in processes_of(folder / "inner.db")] == [3, 0]
    verified = run(SCOPE, "verify", trace, cwd=folder)
    closing = CLOSING.search(verified.stdout)
    assert verified.returncode == 0 and closing and closing[1] == "1", verified.stderr


def test_a_hundred_children_and_one_that_outlives_its_killed_parent(folder: Path) -> None:
    trace, recorded = record(
        folder, "many",
        "import os, sys, time\n"
        "pids = []\n"
        "for number in range(100):\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        os._exit(number % 7)\n"
        "    pids.append(pid)\n"
        "print(sum(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids), flush=True)\n"
        "parent = os.getpid()\n"
        "if os.fork() == 0:\n"
        "    while os.getppid() == parent:\n"
        "        time.sleep(0.01)\n"
        "    time.sleep(0.2)\n"
        "    os.write(1, b'the child goes on\\n')\n"
        "    os._exit(3)\n"
        "os.kill(parent, 9)\n",
    )  # fmt: skip
    assert (recorded.returncode, recorded.stdout) == (137, "295\nthe child goes on\n")
    found = processes_of(trace)
    assert [process["status"] for process in found[1:]] == [number % 7 for number in range(100)] + [3]
    verified = run(SCOPE, "verify", trace, cwd=folder)
    closing = CLOSING.search(verified.stdout)
    assert verified.returncode == 0 and closing and closing[1] == "102", verified.stderr


def test_children_killed_at_any_moment_of_their_start(folder: Path) -> None:
    """Before they join, before their first record, between two records of the start-up, in the program."""
    trace, recorded = record(
        folder,
        "killed_early",
        "import subprocess, sys, time\n"
        "for pause in range(0, 240, 12):\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "    time.sleep(pause / 1000)\n"
        "    child.kill()\n"
        "    print(child.wait())\n",
    )
    assert (recorded.returncode, recorded.stdout, recorded.stderr) == (0, "-9\n" * 20, "")
    verified = run(SCOPE, "verify", trace, cwd=folder)
    closing = CLOSING.search(verified.stdout)
    found = processes_of(trace)
    assert verified.returncode == 0 and closing and int(closing[1]) == len(found), verified.stderr
    for process in found[1:]:
        assert f"scope: process {process['id']}: the process was killed by signal 9" in verified.stderr
        shown = run(SCOPE, "replay", trace, "--process", str(process["id"]), "-x", "tick", cwd=folder)
        assert shown.returncode == 0 or (shown.returncode == 1 and "before the program had started" in shown.stderr)


HASHES = """\
import os, subprocess, sys
for seed in ("random", "random", None, None, "42"):
    environment = {**os.environ, "PYTHONHASHSEED": seed} if seed else os.environ
    subprocess.run([sys.executable, "-c", "print(hash('text'))"], env=environment)
if os.fork() == 0:
    os.execl(sys.executable, sys.executable, "-c", "print(hash('text'))")
os.wait()
"""


def test_every_child_hashes_strings_its_own_way(folder: Path) -> None:
    trace, recorded = record(folder, "hashes", HASHES)
    hashes = recorded.stdout.split()
    assert len(hashes) == len(set(hashes)) == 6
    fixed = run(sys.executable, "-c", "import os, sys; os.environ['PYTHONHASHSEED'] = '42'\n"
                "os.execl(sys.executable, sys.executable, '-c', 'print(hash(\"text\"))')", cwd=folder)  # fmt: skip
    assert fixed.stdout.strip() == hashes[4]
    verified = run(SCOPE, "verify", "--output", trace, cwd=folder)
    assert (verified.returncode, verified.stdout) == (0, recorded.stdout), verified.stderr
