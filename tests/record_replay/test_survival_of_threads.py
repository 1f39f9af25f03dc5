"""What a recording survives while twenty threads write as fast as they can."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from tests.record_replay.test_programs import ENVIRONMENT, SCOPE, run

TWENTY = """\
import os, threading, time

def write():
    while True:
        time.time()
        os.urandom(2000)

for _ in range(20):
    threading.Thread(target=write, daemon=True).start()
time.sleep(100)
"""


def test_a_killed_process_group_leaves_a_trace_that_verifies(tmp_path: Path) -> None:
    (tmp_path / "twenty.py").write_text(TWENTY)
    recording = subprocess.Popen(
        [SCOPE, "record", "-q", "twenty.py"], cwd=tmp_path, env=ENVIRONMENT, start_new_session=True
    )
    deadline = time.monotonic() + 60
    trace = tmp_path / "trace.db"
    while not (trace.exists() and trace.stat().st_size > 4_000_000) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(recording.pid, signal.SIGKILL)
    assert recording.wait(30) == -signal.SIGKILL
    told = run([SCOPE, "info"], tmp_path, ENVIRONMENT)
    assert b"cut off: the recording process was killed; good up to its last commit" in told.stdout
    verified = run([SCOPE, "verify"], tmp_path, ENVIRONMENT)
    assert (verified.status, verified.stderr) == (0, b"scope: the end was not seen: verified up to there\n")
