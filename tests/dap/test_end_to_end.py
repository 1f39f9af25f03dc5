"""The whole way with nothing faked: `scope dap` records real programs and replays them."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.dap.client import REAL, Adapter, Client, Refused, begin, line_of, start, top
from tests.dap.fake_timeline import Point, ScriptWriter
from tests.dap.test_breakpoints import breaks
from tests.dap.test_console import move, typed
from tests.dap.test_lifecycle import gone
from tests.dap.test_motion import go

ADAPTER = REAL


def write(folder: Path, name: str, text: str) -> Path:
    program = folder / name
    program.write_text(text)
    return program


def under_plain_python(program: Path) -> tuple[Point, ...]:
    """Every line event of the program, from `sys.settrace`: the oracle."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return ScriptWriter(program, []).run().points


def place(point: Point) -> tuple[str, int]:
    return point.levels[0].function, point.levels[0].line


def local_values(client: Client) -> dict[str, str]:
    """Name and rendering of each local of the innermost frame; of plain values only, whose rendering is their repr."""
    frame = client.request("stackTrace", threadId=1, levels=1)["stackFrames"][0]["id"]
    scope = client.request("scopes", frameId=frame)["scopes"][0]
    shown = client.request("variables", variablesReference=scope["variablesReference"])["variables"]
    return {one["name"]: one["value"] for one in shown if one["type"] in PLAIN}


PLAIN = {"int", "str", "NoneType", "list", "dict", "tuple", "bool", "float"}


def expected_values(point: Point) -> dict[str, str]:
    level = point.levels[0]
    return {name: repr(value) for name, value in level.variables.items() if type(value).__name__ in PLAIN}


@pytest.mark.parametrize("name", ["orders", "fine"])
def test_every_step_shows_what_plain_python_does_and_every_step_back_undoes_it(
    client: Client, request: pytest.FixtureRequest, name: str
) -> None:
    program: Path = request.getfixturevalue(name)
    oracle = under_plain_python(program)
    start(client, "launch", program=str(program), stopAt="entry")
    client.request("setExceptionBreakpoints", filters=[])
    breaks(client, program, 1)
    if top(client) != place(oracle[0]):
        go(client, "continue")  # installed packages may run lines of their own before the program
    breaks(client, program)
    for point in oracle:
        assert top(client) == place(point)
        if point.levels[0].function != "<module>":
            assert local_values(client) == expected_values(point)
        go(client, "stepIn")
    for point in reversed(oracle):
        move(client, ".rs")
        assert top(client) == place(point)


def test_the_failure_and_its_cause(client: Client, orders: Path) -> None:
    stopped = start(client, "launch", program=str(orders))
    assert stopped["reason"] == "exception"
    assert stopped["text"].startswith("TypeError: unsupported operand")
    assert client.request("exceptionInfo", threadId=1)["exceptionId"] == "TypeError"
    breaks(client, orders, line_of(orders, "add"))
    seen = []
    while go(client, "reverseContinue")["reason"] == "breakpoint":
        seen.append(client.request("evaluate", expression="(index, cost)", context="watch")["result"])
    assert seen == ["(1, 15)", "(0, 6)"]


def test_a_condition_and_a_function(client: Client, fine: Path) -> None:
    start(client, "launch", program=str(fine), stopAt="entry")
    breaks(client, fine, line_of(fine, "print"), condition="value == 9")
    assert go(client, "continue")["reason"] == "breakpoint"
    assert client.request("evaluate", expression="value", context="hover")["result"] == "9"
    breaks(client, fine)
    client.request("setFunctionBreakpoints", breakpoints=[{"name": "square"}])
    stopped = go(client, "reverseContinue")
    assert stopped["reason"] == "function breakpoint"
    assert client.request("evaluate", expression="number", context="hover")["result"] == "3"


def test_a_recording_outlives_its_source(client: Client, orders: Path, tmp_path: Path) -> None:
    """Attach to a recording whose program was deleted: everything still works, from the recording."""
    trace = tmp_path / "orders.db"
    subprocess.run([*REAL[:-1], "record", "-o", str(trace), str(orders)], capture_output=True, check=False)
    text = orders.read_text()
    line = line_of(orders, "call")
    orders.unlink()
    start(client, "attach", trace=str(trace))
    source = client.request("stackTrace", threadId=1, levels=1)["stackFrames"][0]["source"]
    assert source["name"] == "orders.py (as recorded)"
    answer = client.request("source", source=source, sourceReference=source["sourceReference"])
    assert answer["content"] == text
    wanted = client.request("setBreakpoints", source=source, breakpoints=[{"line": line}])["breakpoints"]
    assert wanted[0]["verified"]
    assert go(client, "reverseContinue")["hitBreakpointIds"] == [wanted[0]["id"]]
    assert "item 1 costs 15\n" in client.output("stdout")


def test_output_follows_the_moment(client: Client, fine: Path, tmp_path: Path) -> None:
    trace = tmp_path / "fine.db"
    subprocess.run([*REAL[:-1], "record", "-o", str(trace), str(fine)], capture_output=True, check=True,
                   env={**os.environ, "PYTHONUNBUFFERED": "1"})  # fmt: skip
    start(client, "attach", trace=str(trace))
    breaks(client, fine, line_of(fine, "print"))
    for expected in ("", "square 0\n", "square 1\n", "square 4\n"):
        go(client, "continue")
        client.request("threads")
        assert client.output("stdout") == expected
    go(client, "reverseContinue")
    go(client, "continue")
    go(client, "continue")
    client.request("threads")
    assert client.output("stdout") == "square 9\ndone\n"
    assert typed(client, ".output") == "square 0\nsquare 1\nsquare 4\nsquare 9\ndone\n"


@pytest.mark.parametrize("how", ["module", "code"])
def test_other_kinds_of_program(client: Client, tmp_path: Path, how: str) -> None:
    write(tmp_path, "greet.py", "import sys\nname = sys.argv[1]\nprint('hello', name)\n")
    what = {"module": "greet"} if how == "module" else {"code": ["import sys", "name = sys.argv[1]", "print(name)"]}
    start(client, "launch", **what, args=["world"], cwd=str(tmp_path), stopAt="end")
    assert "world\n" in client.output("stdout")
    go(client, "stepBack")
    assert client.request("evaluate", expression="name", context="watch")["result"] == "'world'"


def test_evaluating_does_not_harm_the_past(client: Client, fine: Path) -> None:
    start(client, "launch", program=str(fine), stopAt="entry")
    breaks(client, fine, line_of(fine, "print"))
    go(client, "continue")
    assert typed(client, "squares.clear()") == "None"
    assert typed(client, "squares") == "[0, 1, 4, 9]"
    assert typed(client, "squares[0] = 5; print(squares)") == "[5, 1, 4, 9]"
    assert typed(client, "squares") == "[0, 1, 4, 9]"
    with pytest.raises(Refused, match="SystemExit"):
        typed(client, "raise SystemExit(3)")
    with pytest.raises(Refused, match=r"unharmed|cannot be called"):
        typed(client, "import os; os._exit(3)")
    assert go(client, "continue")["reason"] == "breakpoint"
    assert typed(client, "value") == "1"


def test_pages_of_a_long_list(client: Client, tmp_path: Path) -> None:
    program = write(tmp_path, "long.py", "numbers = list(range(100_000))\nprint('end')\n")
    start(client, "launch", program=str(program), stopAt="end")
    go(client, "stepBack")
    found = client.request("evaluate", expression="numbers", context="watch")
    assert found["indexedVariables"] == 100_000
    page = client.request(
        "variables", variablesReference=found["variablesReference"], filter="indexed", start=99_990, count=100
    )["variables"]
    assert [one["value"] for one in page] == [str(number) for number in range(99_990, 100_000)]


def test_raised_exceptions_are_stops_too(client: Client, tmp_path: Path) -> None:
    program = write(
        tmp_path,
        "caught.py",
        "try:\n    {}['missing']\nexcept KeyError as error:\n    kept = str(error)\nprint(kept)\n",
    )
    start(client, "launch", program=str(program), stopAt="end")
    client.request("setExceptionBreakpoints", filters=["raised"])
    stopped = go(client, "reverseContinue")
    while client.request("stackTrace", threadId=1, levels=1)["stackFrames"][0]["source"]["name"] != "caught.py":
        stopped = go(client, "reverseContinue")
    assert (stopped["reason"], stopped["text"]) == ("exception", "KeyError: 'missing'")
    assert top(client) == ("<module>", 2)


def test_a_program_that_kills_itself(client: Client, tmp_path: Path) -> None:
    program = write(tmp_path, "dies.py", "import os, signal\nstate = 'alive'\nos.kill(os.getpid(), signal.SIGKILL)\n")
    stopped = start(client, "launch", program=str(program), stopAt="end")
    assert "dies.py ended with exit status 137" in client.output("console")
    assert "killed by signal 9" in stopped["text"]
    move(client, ".rs")
    assert client.request("evaluate", expression="state", context="watch")["result"] == "'alive'"


@pytest.mark.parametrize("ignored", ["", "trap '' INT; "], ids=["as usual", "interrupts ignored, as in the background"])
def test_a_server_is_stopped_and_debugged(tmp_path: Path, ignored: str) -> None:
    """Stop during the recording ends the program as Ctrl-C does; where that hit it is the first stop."""
    with Adapter(["sh", "-c", f'{ignored}exec "$@"', "sh", *REAL]) as adapter:
        stop_a_server(adapter.client, tmp_path)


def stop_a_server(client: Client, tmp_path: Path) -> None:
    program = write(
        tmp_path,
        "server.py",
        "import time\nrequests = 0\nprint('serving', flush=True)\nwhile True:\n"
        "    requests += 1\n    time.sleep(0.2)  # @wait\n",
    )
    begin(client)
    launch = client.send("launch", program=str(program))
    client.wait_for_output("stdout", "serving\n")
    time.sleep(0.5)
    client.request("terminate")
    client.answer(launch)
    client.request("configurationDone")
    stopped = client.wait_for("stopped")
    assert (stopped["reason"], stopped["text"]) == ("exception", "KeyboardInterrupt")
    count = int(client.request("evaluate", expression="requests", context="watch")["result"])
    assert count > 1
    breaks(client, program, line_of(program, "wait"), condition=f"requests == {count - 1}")
    assert go(client, "reverseContinue")["reason"] == "breakpoint"


@pytest.mark.parametrize(("verb", "place_to_start"), [("continue", "entry"), ("reverseContinue", "end")])
def test_pause_and_breakpoints_reach_a_long_motion(
    client: Client, tmp_path: Path, verb: str, place_to_start: str
) -> None:
    program = write(
        tmp_path, "long.py", "total = 0\nfor number in range(1_500_000):\n    total += number  # @add\nprint(total)\n"
    )
    start(client, "launch", program=str(program), stopAt=place_to_start)
    if place_to_start == "end":
        go(client, "stepBack")
    client.request(verb, threadId=1)
    client.request("pause", threadId=1)
    stopped = client.wait_for("stopped")
    assert stopped["reason"] == "pause"
    assert client.request("stackTrace", threadId=1)["stackFrames"]
    client.request(verb, threadId=1)
    breaks(client, program, line_of(program, "add"))
    assert client.wait_for("stopped")["reason"] == "breakpoint"
    assert top(client) == ("<module>", line_of(program, "add"))


@pytest.mark.parametrize("how", ["pause", "no such tick"])
def test_the_stack_can_be_seen_after_a_motion_that_was_broken_off(client: Client, tmp_path: Path, how: str) -> None:
    program = write(tmp_path, "long.py", "total = 0\nfor number in range(500_000):\n    total += number\n")
    start(client, "launch", program=str(program), stopAt="end" if how == "pause" else "entry")
    if how == "pause":
        client.request("reverseContinue", threadId=1)
        client.request("pause", threadId=1)
        client.wait_for("stopped")
    else:
        move(client, ".goto 100_000_000")
        assert client.request("stackTrace", threadId=1)["stackFrames"]
    client.request("stackTrace", threadId=1)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "is not a trace"), (b"just some text\n" * 1000, "is not a trace")],
)
def test_a_file_that_is_no_recording(client: Client, tmp_path: Path, content: bytes, sentence: str) -> None:
    trace = tmp_path / "trace.db"
    trace.write_bytes(content)
    begin(client)
    with pytest.raises(Refused, match=sentence) as refused:
        client.request("attach", trace=str(trace))
    assert refused.value.show_user
    assert "\n" not in str(refused.value)


def test_why_in_the_console(client: Client, tmp_path: Path) -> None:
    program = write(tmp_path, "sums.py", "price = 3\ncount = 2\ntotal = price * count\nprice = 0\nprint(total)\n")
    start(client, "launch", program=str(program), stopAt="end")
    client.request("reverseContinue", threadId=1)
    client.wait_for("stopped")
    breaks(client, program, 5)
    go(client, "continue")
    frame = client.request("stackTrace", threadId=1)["stackFrames"][0]["id"]
    client.output("console")
    client.request("evaluate", expression=".why total", context="repl", frameId=frame)
    assert client.wait_for("stopped")["reason"] == "goto"
    assert top(client) == ("<module>", 3)
    said = client.output("console").splitlines()
    assert said[0] == "total becomes 6 here, it had no value before"
    assert said[-2:] == ["  price = 3", "  count = 2"]


def test_what_if_in_the_console(client: Client, fine: Path) -> None:
    start(client, "launch", program=str(fine), stopAt="entry")
    breaks(client, fine, line_of(fine, "square"))
    go(client, "continue")
    frame = client.request("stackTrace", threadId=1)["stackFrames"][0]["id"]
    told = client.request("evaluate", expression="what-if number = 1000", context="repl", frameId=frame)["result"]
    assert told.splitlines() == [
        "it runs to the end of the program", "output:", "  - square 0", "  + square 1000000", "    … 4 lines alike",
        "exceptions: no difference",
    ]  # fmt: skip
    done = client.request("evaluate", expression="number = 1000", context="repl", frameId=frame)["result"]
    assert done == "done in a copy that is gone; to let it run on: .what-if number = 1000"
    assert top(client)[0] == "square"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_program_does_not_outlive_an_adapter_that_is_killed(tmp_path: Path, number: signal.Signals) -> None:
    """That is what an editor does which is closed in the middle."""
    program = write(tmp_path, "endless.py", "import os, time\nprint(os.getpid())\nwhile True:\n    time.sleep(0.05)\n")
    with Adapter(REAL) as adapter:
        begin(adapter.client)
        adapter.client.send("launch", program=str(program))
        while not (pid := adapter.client.output("stdout")):
            time.sleep(0.01)
        adapter.process.send_signal(number)
        adapter.process.wait(10)
        assert gone(int(pid))


def test_a_program_that_cannot_be_compiled(client: Client, tmp_path: Path) -> None:
    program = write(tmp_path, "syntax.py", "def broken(:\n")
    start(client, "launch", program=str(program))
    said = client.output("console")
    assert "SyntaxError ended the program before a line of its own code ran; stopping at the entry\n" in said


def test_modules_of_the_users_folder_do_not_disturb(client: Client, tmp_path: Path) -> None:
    for name in ("retroscope", "replay", "trace", "code", "types"):
        write(tmp_path, f"{name}.py", "raise RuntimeError('the wrong module was imported')\n")
    program = write(tmp_path, "app.py", "answer = 42\nprint(answer)\n")
    start(client, "launch", program=str(program), cwd=str(tmp_path), stopAt="end")
    assert client.output("stdout") == "42\n"
    assert client.output("stderr") == ""


@pytest.mark.parametrize("how", ["disconnect", "kill"])
def test_no_process_is_left_behind(adapter: Adapter, fine: Path, how: str) -> None:
    start(adapter.client, "launch", program=str(fine))
    go(adapter.client, "next")
    family = descendants(adapter.process.pid)
    assert family, "the replay runs in processes of its own"
    if how == "disconnect":
        adapter.leave()
    else:
        adapter.process.send_signal(signal.SIGKILL)
        adapter.process.wait()
    assert all(gone(pid) for pid in family)


def descendants(pid: int) -> list[int]:
    """Children, grandchildren and so on, from /proc."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found, todo = [], [pid]
    while todo:
        parent = todo.pop()
        children = [child for child, its_parent in parents.items() if its_parent == parent]
        found += children
        todo += children
    return found


def test_the_command_itself(tmp_path: Path) -> None:
    """`scope dap` says what is wrong in one sentence."""
    for arguments, status, sentence in [
        (["--port", "many"], 2, "a port is a number from 0 to 65535"),
        (["--port", "70000"], 2, "a port is a number from 0 to 65535"),
        (["--log", str(tmp_path / "no" / "log")], 1, "cannot be written"),
    ]:
        done = subprocess.run(
            [sys.executable, "-m", "retroscope.cli", "dap", *arguments], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (status, "")
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr
