"""`scope record --redact`: the value is nowhere in the trace; replay says where the program computed with it."""

from __future__ import annotations

import json
from pathlib import Path

from retroscope.trace import open_trace

from tests.record_replay.test_programs import ENVIRONMENT, SCOPE, Outcome, run

SECRET = "hunter2-very-secret-value"
HANDS_OVER = """\
import os, socket, sys
token = os.environ["API_TOKEN"]
one, other = socket.socketpair()
one.sendall(b"Authorization: Bearer " + token.encode() + b"\\r\\n")
one.sendmsg([b"again ", token.encode()])
print(other.recv(1000)[-10:] != b"", len(token))
with open("kept.txt", "w") as file:
    file.write("token=" + token)
print(open("kept.txt").read() == "token=" + token)
print("it is", token, sys.argv[1:] == [token])
"""
COMPUTES = HANDS_OVER + "import hashlib\nprint(hashlib.sha256(token.encode()).hexdigest())\n"


def record(code: str, folder: Path) -> Outcome:
    (folder / "program.py").write_text(code)
    command = [SCOPE, "record", "--redact", "API_*", "--redact", "PIN", "program.py", SECRET]
    return run(command, folder, {**ENVIRONMENT, "API_TOKEN": SECRET, "PIN": "1234"})


def stored(trace: Path) -> bytes:
    """Everything that the trace holds of its process, unpacked."""
    with open_trace(str(trace)) as reader:
        return b"".join(reader.stream(1)) + json.dumps([reader.meta, list(reader.processes()[0].argv)]).encode()


def test_the_value_is_nowhere_in_the_trace_and_handing_it_over_is_no_difference(tmp_path: Path) -> None:
    recorded = record(HANDS_OVER, tmp_path)
    assert recorded.status == 0, recorded.stderr
    assert b"it is hunter2-very-secret-value True" in recorded.stdout
    said = recorded.stderr.decode()
    assert said.startswith("scope: kept out of the trace: API_TOKEN (in ")
    assert said.endswith("too short to be told from other data, so still in the trace: PIN\n")
    assert SECRET.encode() not in stored(tmp_path / "trace.db")
    verified = run([SCOPE, "verify", "--output"], tmp_path, ENVIRONMENT)
    assert verified.status == 0, verified.stderr.decode()
    assert verified.stdout == recorded.stdout.replace(SECRET.encode(), b"<redacted><redacted><reda")
    facts = json.loads(run([SCOPE, "info", "--json", "--show-secrets"], tmp_path, ENVIRONMENT).stdout)
    assert facts["redacted"] == ["API_TOKEN"]
    assert facts["processes"][0]["environment"]["API_TOKEN"] == "<redacted><redacted><reda"


def test_where_the_program_computed_with_it_the_replay_stops_and_says_so(tmp_path: Path) -> None:
    assert record(COMPUTES, tmp_path).status == 0
    verified = run([SCOPE, "verify"], tmp_path, ENVIRONMENT)
    assert verified.status == 3
    said = verified.stderr.decode()
    assert "Likely cause: the recording was made with --redact, and the program computed with what is not in" in said


def test_a_pattern_that_names_nothing_is_said(tmp_path: Path) -> None:
    done = run([SCOPE, "record", "--redact", "NO_SUCH_*", "-c", "print(1)"], tmp_path, ENVIRONMENT)
    assert (done.status, done.stdout) == (0, b"1\n")
    assert done.stderr == b"scope: no environment variable of at least 8 bytes is called like NO_SUCH_*\n"
