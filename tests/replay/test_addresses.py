"""Two sessions on one recording find the same objects at the same addresses, wherever and however they were started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from retroscope.replay.addresses import fixed_addresses

from tests.replay.conftest import Recorder

NAMES = ["box", "box.map", "box.items", "heap", "nested['rows']", "t[0]", "Box", "outer", "heapq.heappush", "s"]
SESSION = """
import json, sys
from retroscope.replay.looking import Looker, LookFailed
from retroscope.replay.launch import Launcher
from retroscope.replay.protocol import Want
from retroscope.replay.recording import Recording

def address(looker, name):
    try:
        return looker.ask("subject_state", looker.ask("subject", 0, name))[0]
    except LookFailed:
        return None

recording = Recording(sys.argv[1])
launcher = Launcher(recording)
process = launcher.launch()
for tick in range(0, 40):
    if process.run(2**64 - 1, Want.LINE | Want.VISIBLE).reason.name == "END":
        break
    frames = process.stack()
    looker = Looker(process)
    print(json.dumps([process.tick, frames, [address(looker, name) for name in json.loads(sys.argv[2])]]))
    looker.close()
process.close()
launcher.close()
"""


def session(trace: Path, folder: Path, descriptors: int, **environment: str) -> list[str]:
    """What a session sees that starts in `folder` with so many more open descriptors."""
    opened = [os.open("/dev/null", os.O_RDONLY) for _ in range(descriptors)]
    try:
        done = subprocess.run(
            [sys.executable, "-c", SESSION, str(trace), json.dumps(NAMES)], cwd=folder, pass_fds=opened,
            env={**os.environ, **environment}, capture_output=True, text=True, check=True,
        )  # fmt: skip
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return done.stdout.splitlines()


def test_addresses_agree_between_sessions(recorded: Recorder, tmp_path: Path) -> None:
    with fixed_addresses() as allowed:
        if not allowed:
            pytest.skip("this system gives every process random addresses")
    trace = recorded("writes")
    first = session(trace, Path("/"), 0)
    second = session(trace, tmp_path, 120, SOMETHING="x" * 5000, HOME="/nowhere/at/all")
    assert len(first) > 30
    assert any(address for address in json.loads(first[-1])[2])
    assert first == second


def test_the_controller_itself_keeps_its_random_addresses() -> None:
    before = Path("/proc/self/personality").read_text()
    with fixed_addresses():
        pass
    assert Path("/proc/self/personality").read_text() == before
