"""Microsoft's own test client against the adapter; its whole conversation is held against the protocol's schema."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dap import schema
from tests.dap.client import ROOT

HERE = Path(__file__).parent
PROJECT = HERE / "node"
QUIETLY = {"capture_output": True, "text": True, "timeout": 200}

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not on PATH")


@pytest.fixture(scope="session")
def modules() -> Path:
    """A folder with the client's npm packages, installed once for each lock file."""
    lock = (PROJECT / "package-lock.json").read_bytes()
    folder = ROOT / ".cache" / f"dap-node-{hashlib.sha256(lock).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "one at a time", "w") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            for name in ("package.json", "package-lock.json", ".npmrc"):
                shutil.copy(PROJECT / name, folder)
            install = ["npm", "ci", "--no-audit", "--no-fund"]
            done = subprocess.run(install, cwd=folder, check=False, **QUIETLY)
            assert done.returncode == 0, f"npm could not install what the test client needs:\n{done.stderr}"
            (folder / "complete").touch()
    return folder / "node_modules"


@pytest.mark.parametrize("adapter", ["fake_adapter.py", "real_adapter.py"])
def test_the_test_client_of_editors(modules: Path, tmp_path: Path, adapter: str) -> None:
    for program in ("orders.py", "fine.py"):
        shutil.copy(HERE / "programs" / program, tmp_path)
    log = tmp_path / "session.log"
    environment = {
        **os.environ,
        "NODE_PATH": str(modules),
        "ADAPTER_PYTHON": sys.executable,
        "ADAPTER": str(HERE / adapter),
        "PROGRAMS": str(tmp_path),
        "DAP_LOG": str(log),
    }
    mocha = [str(modules / ".bin" / "mocha"), "--timeout", "20000", str(PROJECT / "adapter.test.js")]
    done = subprocess.run(mocha, env=environment, cwd=tmp_path, check=False, **QUIETLY)
    assert done.returncode == 0, done.stdout + done.stderr
    messages = [json.loads(line)["message"] for line in log.read_text().splitlines()]
    assert len(messages) > 100
    for message in messages:
        if message.get("command") != "illegalRequest" or message["type"] == "response":
            schema.check(message)
