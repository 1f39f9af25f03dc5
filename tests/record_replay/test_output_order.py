"""What several processes write comes out of `scope verify --output` in the order in which they wrote it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCOPE = str(Path(sys.executable).parent / "scope")

PROGRAM = """\
import os, subprocess, sys
say = lambda text: os.write(1, f"{text}\\n".encode())
say("begin")
for turn in range(3):
    pid = os.fork()
    if pid == 0:
        say(f"child {turn}")
        os._exit(0)
    os.waitpid(pid, 0)
    say(f"parent {turn}")
    subprocess.run([sys.executable, "-c", f"print('program', {turn})"], check=True)
ready, go = os.pipe(), os.pipe()
if os.fork() == 0:
    for turn in range(3):
        os.read(go[0], 1)
        say(f"pong {turn}")
        os.write(ready[1], b"x")
    os._exit(0)
for turn in range(3):
    say(f"ping {turn}")
    os.write(go[1], b"x")
    os.read(ready[0], 1)
os.wait()
say("end")
"""


@pytest.mark.parametrize("options", [[], ["--chaos"]])
def test_the_output_of_several_processes_is_in_order(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [SCOPE, "record", "-q", *options, "program.py"]
    recorded = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    assert len(recorded.stdout.splitlines()) == 17
    replayed = subprocess.run([SCOPE, "verify", "--output"], cwd=tmp_path, capture_output=True, check=True)
    assert replayed.stdout == recorded.stdout
