"""What `scope info` and `scope events` show of a hand-made trace."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest
from retroscope.trace.encoding import encode_value, sized
from retroscope.trace.stream import Kind, encode_record

from tests.cli.command import Scope
from tests.trace.making import begin, make_trace, sample_records


def start(environ: object) -> bytes:
    return encode_record(Kind.START, encode_value({"argv": ["app.py"], "environ": environ}))


def clocks(count: int) -> list[bytes]:
    define = encode_record(Kind.DEFINE, encode_value("time.time"), callable=1)
    return [define, *(encode_record(Kind.RESULT, encode_value(float(i)), callable=1) for i in range(count))]


def test_info(scope: Scope, trace: str) -> None:
    answer = scope("info", trace)
    assert (answer.status, answer.err) == (0, "")
    lines = {line[2:12].strip(): line[13:] for line in answer.out.splitlines()[1:]}
    assert answer.out.startswith("trace.db: complete\n")
    assert lines["program"] == "app.py --verbose"
    assert lines["directory"] == "/home/ada"
    assert lines["ended"] == "with exit status 3 after 2.5 s"
    assert lines["note"] == "the extension fastlib is not listed"
    assert lines["sources"] == "1 file kept in the trace"
    assert lines["size"].startswith(f"{len(sample_records())} inputs, ")
    assert lines["next"] == "scope replay trace.db"


def test_info_json(scope: Scope, trace: str) -> None:
    facts = json.loads(scope("info", trace, "--json").out)
    assert (facts["state"], facts["python"], facts["inputs"]) == ("complete", "3.11.7", len(sample_records()))
    assert facts["bytes"] == os.stat(trace).st_size
    (process,) = facts["processes"]
    assert (process["ended"], process["status"], process["signal"]) == ("exited", 3, None)
    assert process["environment"] == {"HOME": "/home/ada"}
    lines = [b"line %d\n" % i for i in range(0, 500, 7)]
    assert process["stdout_bytes"] == sum(map(len, lines[::2]))
    assert process["stderr_bytes"] == sum(map(len, lines[1::2]))


@pytest.mark.parametrize(
    ("ended", "stopped", "says"),
    [
        (("signal", 11), None, "killed by SIGSEGV"),
        (("signal", 64), None, "killed by "),
        (("exited", 0), "the recorder gave up", "storing stopped before that: the recorder gave up"),
        (None, None, "not seen"),
    ],
)
def test_info_says_how_it_ended(
    scope: Scope, tmp_path: Path, ended: object, stopped: str | None, says: str
) -> None:
    making = begin(tmp_path / "t.db", ended=ended, stopped=stopped)
    making.add(b"".join(clocks(3)))
    making.writer.close()
    assert says in scope("info", str(tmp_path / "t.db")).out


def test_info_of_a_trace_in_the_making_and_of_one_cut_off(scope: Scope, tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    child = os.fork()
    if child == 0:
        begin(path, ended=None).add(b"".join(clocks(3)))
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    assert "cut off: the recording process was killed" in scope("info", str(path)).out
    making = begin(path, ended=None)
    making.add(b"".join(clocks(3)))
    answer = scope("info", str(path)).out
    assert "being recorded now" in answer
    assert "not yet, it is running" in answer
    making.writer.close(stopped="the disk is full")
    assert "stopped before the program ended (the disk is full)" in scope("info", str(path)).out


def test_events(scope: Scope, trace: str) -> None:
    answer = scope("events", trace)
    lines = answer.out.splitlines()
    assert (answer.status, answer.err, len(lines)) == (0, "", len(sample_records()))
    assert lines[5].split() == ["5", "time.time", "1795000000.0"]
    assert lines[6].endswith("_io.FileIO.write  7  wrote to stdout: b'line 0\\n'")


@pytest.mark.parametrize(
    ("filters", "inputs"),
    [
        (["--from", "5", "--to", "8"], [5, 6, 7, 8]),
        (["--from", "100", "--limit", "2"], [100, 101]),
        (["--limit", "0"], []),
        (["--from", "100000"], []),
        (["--kind", "define"], [1, 2]),
        (["--kind", "start", "--kind", "note"], [0, 4]),
        (["--name", "time.*", "--limit", "2"], [5, 8]),
        (["--name", "time.*", "--kind", "define"], [1]),
        (["--name", "*.write", "--kind", "result", "--limit", "2"], [6, 15]),
        (["--name", "nothing"], []),
    ],
)
def test_filters(scope: Scope, trace: str, filters: list[str], inputs: list[int]) -> None:
    plain = scope("events", trace, *filters)
    shown = [json.loads(line) for line in scope("events", trace, "--json", *filters).out.splitlines()]
    assert [each["input"] for each in shown] == inputs
    assert [int(line.split()[0]) for line in plain.out.splitlines()] == inputs


def test_events_json(scope: Scope, trace: str) -> None:
    lines = [json.loads(line) for line in scope("events", trace, "--json").out.splitlines()]
    assert lines[0]["value"] == {"argv": ["app.py"], "environ": [["HOME", "/home/ada"]]}
    assert lines[6] == {
        "input": 6, "kind": "result", "name": "_io.FileIO.write", "digest": 0, "bytes": 24, "value": 7,
        "output": {"descriptor": 1, "type": "bytes", "size": 7, "text": "line 0\n"},
    }  # fmt: skip


def test_another_process_is_asked_for(scope: Scope, trace: str) -> None:
    assert scope("events", trace, "--process", "1", "--limit", "1").status == 0
    answer = scope("events", trace, "--process", "2")
    assert (answer.status, answer.out) == (1, "")
    assert answer.err == "scope: trace.db has no process 2; it has 1\n"


class Trap:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch sprung",)


def test_no_pickle_is_ever_executed(scope: Scope, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    payload = sized(b"P", pickle.dumps(Trap()))
    make_trace(tmp_path / "t.db", [*clocks(1), encode_record(Kind.RESULT, payload, callable=1)])
    assert "<pickle of posix.system, " in scope("events", "t.db").out
    assert '"names": ["posix.system"]' in scope("events", "t.db", "--json").out
    assert scope("info", "t.db").status == 0
    assert not os.path.exists("sprung")


HOSTILE = "evil\x1b[2J\n\x9b31m"


def test_text_from_a_trace_cannot_command_the_terminal(scope: Scope, tmp_path: Path) -> None:
    records = [
        encode_record(Kind.DEFINE, encode_value(HOSTILE), callable=1),
        encode_record(Kind.RESULT, encode_value(HOSTILE), callable=1),
        encode_record(Kind.NOTE, encode_value(HOSTILE)),
    ]
    path = tmp_path / "t.db"
    making = begin(path, argv=[HOSTILE], cwd=HOSTILE)
    making.add(b"".join(records))
    making.writer.close()
    for words in (["events"], ["events", "--json"], ["info"], ["info", "--json"]):
        shown = scope(words[0], str(path), *words[1:]).out
        assert all(character.isprintable() or character == "\n" for character in shown)
    assert len(scope("events", str(path)).out.splitlines()) == 3


@pytest.mark.parametrize(
    "value",
    [b"x" * 5_000_000, "y" * 5_000_000, [0] * 100_000, {i: i for i in range(100_000)}, 1 << 1_000_000, float("nan")],
    ids=["bytes", "str", "list", "dict", "int", "nan"],
)
def test_large_values_are_shown_bounded(scope: Scope, tmp_path: Path, value: object) -> None:
    path = tmp_path / "t.db"
    make_trace(path, [encode_record(Kind.RESULT, encode_value(value))])
    (line,) = scope("events", str(path)).out.splitlines()
    assert len(line) < 400
    (line,) = scope("events", str(path), "--json").out.splitlines()
    assert len(line) < 100_000
    assert json.loads(line, parse_constant=pytest.fail)["kind"] == "result"


SECRETS = ["hunter2", "s3cr3t", "abcdef0123456789abcdef", "MIIEvQ"]


def test_secrets_are_redacted_unless_asked_for(scope: Scope, tmp_path: Path) -> None:
    environ = [
        ("DATABASE_URL", "postgres://ada:hunter2@db/orders"),
        ("API_KEY", "s3cr3t"),
        ("PATH", "/usr/bin"),
        ("HEADER", "Authorization: Bearer abcdef0123456789abcdef"),
    ]
    pem = "-----BEGIN RSA PRIVATE KEY-----\nMIIEvQ\n-----END RSA PRIVATE KEY-----\n"
    records = [
        start(environ),
        *clocks(1),
        encode_record(Kind.RESULT, encode_value({"password": "s3cr3t", b"token": b"s3cr3t"}), callable=1),
        encode_record(Kind.RESULT, encode_value(pem.encode()), callable=1),
        encode_record(Kind.RESULT, encode_value(5), callable=1, output=(1, b"password=hunter2\n")),
    ]
    path = tmp_path / "t.db"
    making = begin(path, argv=["app.py", "--password", "hunter2", "--token=s3cr3t", "--verbose"])
    making.add(b"".join(records))
    making.writer.close()
    for words in (["events"], ["events", "--json"], ["info"], ["info", "--json"]):
        shown = scope(words[0], str(path), *words[1:]).out
        assert [secret for secret in SECRETS if secret in shown] == []
        assert "--verbose" in shown or words[0] == "events"
    everything = scope("events", str(path), "--json", "--show-secrets").out
    everything += scope("info", str(path), "--json", "--show-secrets").out
    assert [secret for secret in SECRETS if secret not in everything] == []
    assert "/usr/bin" in scope("info", str(path), "--json").out
