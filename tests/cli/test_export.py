"""`scope export` against what settrace sees, and against the rules of the formats that it writes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import jsonschema
import pytest

FIXTURES = Path(__file__).parents[2] / "fixtures"
WALKED = FIXTURES / "walks" / "walked.py"
SCOPE = str(Path(sys.executable).parent / "scope")

ORACLE = """
import json, runpy, sys
seen = []
def trace(frame, event, argument):
    if frame.f_code.co_filename != sys.argv[1]:
        return None
    if event == "line":
        seen.append([event, frame.f_lineno])
    elif event in ("call", "return"):
        seen.append([event, frame.f_code.co_qualname])
    return trace
sys.settrace(trace)
try:
    runpy.run_path(sys.argv[1], run_name="__main__")
except KeyError:
    pass
sys.settrace(None)
json.dump(seen, sys.stderr)
"""
# After the "Trace Event Format" document, for the phases that are written here.
EVENT = {
    "type": "object",
    "required": ["ph", "pid", "tid"],
    "oneOf": [
        {
            "properties": {
                "ph": {"const": "M"}, "name": {"enum": ["process_name", "thread_name"]},
                "args": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
            },
            "required": ["name", "args"],
        },
        {
            "properties": {"ph": {"const": "B"}, "ts": {"type": "number", "minimum": 0}, "name": {"type": "string"},
                           "cat": {"enum": ["user", "library", "line"]}, "args": {"type": "object"}},
            "required": ["ts", "name", "cat"],
        },
        {"properties": {"ph": {"const": "E"}, "ts": {"type": "number", "minimum": 0}}, "required": ["ts"]},
        {
            "properties": {"ph": {"const": "i"}, "s": {"const": "t"}, "ts": {"type": "number"}},
            "required": ["ts", "s", "name"],
        },
    ],
    "properties": {"pid": {"type": "integer"}, "tid": {"type": "integer"}},
}  # fmt: skip
FILE = {
    "type": "object",
    "required": ["traceEvents", "displayTimeUnit", "otherData"],
    "properties": {
        "traceEvents": {"type": "array", "items": EVENT},
        "displayTimeUnit": {"enum": ["ms", "ns"]},
        "otherData": {"type": "object"},
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports")


def recorded(folder: Path, *program: str | Path) -> Path:
    trace = folder / f"{Path(program[0]).stem}.db"
    if not trace.exists():
        subprocess.run([SCOPE, "record", "-q", "-o", trace, *program], cwd=folder, capture_output=True, check=False)
    return trace


def export(trace: Path, *words: str | Path, status: int = 0) -> str:
    done = subprocess.run([SCOPE, "export", trace, *words], capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    return done.stdout if status == 0 else done.stderr


def facts_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def spans_of(text: str) -> list[tuple[int, str, int, dict[str, Any]]]:
    """(thread, name, depth, arguments of the beginning) of every B; checks that each has its E, and time goes on."""
    file = json.loads(text)
    shapes = {(event["ph"], *event, *map(type, event.values())): event for event in file["traceEvents"]}
    jsonschema.validate(file | {"traceEvents": list(shapes.values())}, FILE)  # one event of each shape: it is slow
    open_: dict[tuple[int, int], list[str]] = defaultdict(list)
    times: dict[tuple[int, int], float] = defaultdict(float)
    spans = []
    for event in file["traceEvents"]:
        track = event["pid"], event["tid"]
        if event["ph"] == "M":
            continue
        assert event["ts"] >= times[track]
        times[track] = event["ts"]
        if event["ph"] == "B":
            spans.append((event["tid"], event["name"], len(open_[track]), event["args"]))
            open_[track].append(event["name"])
        elif event["ph"] == "E":
            open_[track].pop()
    assert not any(open_.values())
    return spans


def test_calls_and_lines_are_those_that_settrace_sees(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", ORACLE, WALKED], capture_output=True, text=True, check=True)
    expected = json.loads(done.stderr)
    names: dict[int, str] = {}
    seen = []
    for fact in facts_of(export(recorded(folder, WALKED), "--jsonl", "-")):
        if fact["fact"] in ("enter", "resume"):
            names[fact["frame"]] = fact["function"]
            seen.append(["call", fact["function"]])
        elif fact["fact"] == "leave":
            seen.append(["return", names[fact["frame"]]])
        elif fact["fact"] == "line":
            seen.append(["line", fact["line"]])
    # A comprehension's line comes round by round for settrace, and once for sys.monitoring.
    lines = enumerate(WALKED.read_text().splitlines(), 1)
    loops = {number for number, line in lines if re.search(r"[{\[].* for ", line)}
    assert len(loops) == 2
    assert [event for event in seen if event[1] not in loops] == [event for event in expected if event[1] not in loops]


def test_values_and_raises(folder: Path) -> None:
    facts = facts_of(export(recorded(folder, WALKED), "--jsonl", "-", "--values"))
    pays = [fact for fact in facts if fact["fact"] == "enter" and fact["function"] == "Account.pay"]
    assert [fact["arguments"]["amount"] for fact in pays] == ["20", "50", "30"]
    ends = {fact["frame"]: fact for fact in facts if fact["fact"] == "leave"}
    assert [(ends[pay["frame"]]["how"], ends[pay["frame"]]["value"]) for pay in pays] == [
        ("returned", "40"), ("raised", None), ("returned", "10"),
    ]  # fmt: skip
    raised = [fact["exception"] for fact in facts if fact["fact"] == "raise"]
    assert raised == ["<ValueError('ada has only 40')>", "<KeyError('b')>"]
    balance = [fact["changed"]["total"] for fact in facts if "total" in fact.get("changed", {})]
    assert balance == ["0", "2", "6", "12", "8", "4", "0"]


def test_the_perfetto_file_is_one(folder: Path) -> None:
    trace, out = recorded(folder, WALKED), folder / "walked.json"
    export(trace, "--perfetto", out)
    spans = spans_of(out.read_text())
    calls = [fact for fact in facts_of(export(trace, "--jsonl", "-")) if fact["fact"] in ("enter", "resume")]
    assert [name for _, name, _, _ in spans] == [fact["function"] for fact in calls]
    assert next(depth for _, name, depth, _ in spans if name == "Account.pay") == 3
    export(trace, "--perfetto", out, "--lines", "--values")
    lines = [args["tick"] for _, name, _, args in spans_of(out.read_text()) if name.startswith("line ")]
    assert lines == [fact["tick"] for fact in facts_of(export(trace, "--jsonl", "-")) if fact["fact"] == "line"]
    export(trace, "--perfetto", out, "--all-code")
    assert {"library", "user"} <= {event.get("cat") for event in json.loads(out.read_text())["traceEvents"]}
    spans_of(out.read_text())


@pytest.mark.parametrize("program", ["threads_waiting.py", "asyncio_tasks.py", "processes_fork.py", "exceptions.py"])
def test_calls_nest_in_threads_tasks_and_processes(folder: Path, program: str) -> None:
    trace, out = recorded(folder, FIXTURES / "programs" / program), folder / "nesting.json"
    export(trace, "--perfetto", out, "--all-code", "--lines")
    threads = {thread for thread, *_ in spans_of(out.read_text())}
    assert len(threads) > 1 or "threads" not in program
    if "fork" in program:
        export(trace, "--perfetto", out, "--process", "2")
        spans = spans_of(out.read_text())
        assert (spans[0][1], spans[0][2]) == ("<module>", 0)


def test_a_stretch_and_filters(folder: Path) -> None:
    trace, out = recorded(folder, WALKED), folder / "part.json"
    facts = facts_of(export(trace, "--jsonl", "-"))
    pay = next(fact for fact in facts if fact.get("function") == "Account.pay")
    export(trace, "--perfetto", out, "--from", str(pay["tick"] + 1), "--to", str(pay["tick"] + 5))
    names = [name for _, name, _, _ in spans_of(out.read_text())]
    assert names[:4] == ["<module>", "main", "try_payments", "Account.pay"]
    only = facts_of(export(trace, "--jsonl", "-", "--function", "Account.*"))
    assert {fact["function"] for fact in only if fact["fact"] == "enter"} == {
        "Account.__init__", "Account.pay", "Account.rich",
    }  # fmt: skip
    assert not [fact for fact in facts_of(export(trace, "--jsonl", "-", "--file", "*/other.py")) if "frame" in fact]


def test_time_goes_by_the_clock_that_the_program_read(folder: Path) -> None:
    program = folder / "sleeping.py"
    program.write_text("import time\na = time.time()\ntime.sleep(0.3)\nb = time.time()\nprint(a, b)\n")
    trace = recorded(folder, program)
    facts = facts_of(export(trace, "--jsonl", "-"))
    lines = {fact["line"]: fact["time"] for fact in facts if fact["fact"] == "line"}
    assert 0.25 < lines[5] - lines[2] < 0.6
    readings = re.search(r"by (\d+) readings of the clock", facts[0]["time_base"])
    assert readings and int(readings[1]) > 2  # the program's two, and the recorder's own


def test_secrets_are_redacted(folder: Path) -> None:
    program = folder / "secrets.py"
    program.write_text(
        "def login(password, url):\n    token = 'abc' + 'def'\n    return token\n"
        "login('hunter2', 'http://joe:letmein@host/')\n"
    )
    trace = recorded(folder, program)
    shown = export(trace, "--jsonl", "-", "--values")
    assert "hunter2" not in shown and "letmein" not in shown
    assert "[redacted]" in shown
    assert "hunter2" in export(trace, "--jsonl", "-", "--values", "--show-secrets")


def test_a_file_that_finds_no_room_is_named_and_removed(tmp_path: Path) -> None:
    """The limit on the size of files stands in for the disk: it too fails in the middle, and again at the closing."""
    program = (
        "import resource, sys\nfrom retroscope.cli.export import _written\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "with _written(sys.argv[1]) as file:\n    file.write('x' * 100_000)\n"
    )
    out = tmp_path / "large.jsonl"
    ended = subprocess.run([sys.executable, "-c", program, out], capture_output=True, text=True, check=False)
    assert ended.stderr.endswith(f"ReplayError: {out}: file too large; it was removed, name a file elsewhere\n")
    assert not out.exists()


def test_a_full_disk_says_so(folder: Path) -> None:
    said = export(recorded(folder, WALKED), "--jsonl", "/dev/full", status=1)
    assert said == "scope: /dev/full: no space left on device; name a file elsewhere\n"
    export(recorded(folder, WALKED), "--jsonl", "x", "--perfetto", "y", status=2)
    assert "no such file" in export(recorded(folder, WALKED), "--jsonl", folder / "missing" / "x", status=1)
