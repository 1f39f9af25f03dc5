"""From initialize to disconnect, in the order each kind of client needs."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.dap.client import FAKE, REAL_WITHOUT_CLI, Adapter, Client, Refused, begin, line_of, start, top

TRUE_CAPABILITIES = {
    "supportsConfigurationDoneRequest",
    "supportsStepBack",
    "supportsConditionalBreakpoints",
    "supportsFunctionBreakpoints",
    "supportsExceptionInfoRequest",
    "supportsEvaluateForHovers",
    "supportsClipboardContext",
    "supportsCompletionsRequest",
    "supportsDelayedStackTraceLoading",
    "supportsLoadedSourcesRequest",
    "supportsTerminateRequest",
    "supportsCancelRequest",
    "supportsHitConditionalBreakpoints",
    "supportsLogPoints",
    "supportsDataBreakpoints",
    "supportsGotoTargetsRequest",
    "supportsExceptionFilterOptions",
}


def test_capabilities_are_those_that_work(client: Client) -> None:
    capabilities = begin(client)
    assert {name for name, value in capabilities.items() if value is True} == TRUE_CAPABILITIES
    assert [one["filter"] for one in capabilities["exceptionBreakpointFilters"]] == ["raised", "uncaught"]


def test_launch_stops_at_the_failure(client: Client, orders: Path) -> None:
    stopped = start(client, "launch", program=str(orders))
    assert stopped["reason"] == "exception"
    assert stopped["text"].startswith("TypeError: ")
    assert stopped["description"].startswith("tick ")
    assert stopped["description"].endswith(" (in the past)")
    assert top(client) == ("price", line_of(orders, "multiply"))


def test_launch_of_a_program_that_ends_well_stops_at_the_entry(client: Client, fine: Path) -> None:
    stopped = start(client, "launch", program=str(fine))
    assert stopped["reason"] == "entry"
    assert top(client) == ("<module>", 1)


@pytest.mark.parametrize(("place", "reason"), [("failure", "exception"), ("entry", "entry"), ("end", "step")])
def test_stop_at(client: Client, orders: Path, place: str, reason: str) -> None:
    assert start(client, "launch", program=str(orders), stopAt=place)["reason"] == reason


def test_attach_stops_at_the_failure(client: Client, orders: Path, tmp_path: Path) -> None:
    trace = recorded(orders, tmp_path)
    stopped = start(client, "attach", trace=str(trace))
    assert stopped["reason"] == "exception"


def test_attach_to_a_run_without_failure_stops_at_the_entry_and_says_why(
    client: Client, fine: Path, tmp_path: Path
) -> None:
    trace = recorded(fine, tmp_path)
    assert start(client, "attach", trace=str(trace))["reason"] == "entry"
    assert "no uncaught exception" in client.output("console")


def test_initialized_comes_when_breakpoints_can_be_verified(client: Client, orders: Path) -> None:
    start(client, "launch", program=str(orders))
    order = [name for name in client.order if name != "event output"]
    assert order == [
        "response initialize",
        "event initialized",
        "response launch",
        "response setExceptionBreakpoints",
        "response configurationDone",
        "event stopped",
    ]


def test_the_trace_is_named_and_stays(client: Client, fine: Path) -> None:
    start(client, "launch", program=str(fine))
    said = client.output("console")
    assert said.startswith("Recording fine.py into /")
    trace = Path(said.splitlines()[0].removeprefix("Recording fine.py into "))
    client.request("disconnect")
    assert trace.is_file()


def test_the_trace_goes_where_the_user_wants(client: Client, fine: Path, tmp_path: Path) -> None:
    start(client, "launch", program="fine.py", cwd=str(tmp_path), trace="here.db")
    assert (tmp_path / "here.db").is_file()


def test_arguments_folder_and_environment_reach_the_program(client: Client, tmp_path: Path) -> None:
    program = tmp_path / "show.py"
    program.write_text("import os, sys\nprint(sys.argv[1:], os.getcwd(), os.getenv('COLOUR'), os.getenv('HOME'))\n")
    start(
        client,
        "launch",
        program=str(program),
        args=["one", "two words"],
        cwd="/",
        env={"COLOUR": "red", "HOME": None},
    )
    assert client.output("stdout") == "['one', 'two words'] / red None\n"


def test_the_exit_status_is_told(client: Client, tmp_path: Path) -> None:
    program = tmp_path / "status.py"
    program.write_text("import sys\nsys.exit(7)\n")
    start(client, "launch", program=str(program))
    assert "status.py ended with exit status 7" in client.output("console")
    client.request("terminate")
    assert client.wait_for("exited") == {"exitCode": 7}
    assert client.wait_for("terminated") == {}


@pytest.mark.parametrize(
    ("configuration", "sentence"),
    [
        ({}, "nothing to run: give one of 'program', 'module' and 'code'"),
        ({"program": "/nowhere/app.py"}, "there is no program at /nowhere/app.py"),
        ({"program": "a.py", "module": "b"}, "'program' and 'module' together: give one of"),
        ({"module": "json.tool", "cwd": "/nowhere"}, "the working directory /nowhere does not exist"),
        ({"module": "m", "python": "/nowhere/python"}, "there is no Python interpreter at /nowhere/python"),
        ({"module": "m", "stopAt": "middle"}, "'stopAt' is one of failure, entry, end, not 'middle'"),
        ({"module": "m", "env": {"A": 1}}, "'env' must map names to strings"),
        ({"module": "m"}, "m could not be recorded: scope record: cannot record -m"),
    ],
)
def test_a_failed_launch_says_why_in_one_sentence(client: Client, configuration: dict, sentence: str) -> None:
    begin(client)
    with pytest.raises(Refused) as refused:
        client.request("launch", **configuration)
    assert str(refused.value).startswith(sentence)
    assert refused.value.show_user
    assert "\n" not in str(refused.value)
    assert refused.value.response["body"]["error"]["format"] == str(refused.value)


def test_an_interpreter_without_retroscope_is_named(tmp_path: Path) -> None:
    """With the real command line: the interpreter is started with `-S`, so it finds no site-packages."""
    python = tmp_path / "bare python"
    python.write_text('#!/bin/sh\nexec python3 -S -E "$@"\n')
    python.chmod(0o755)
    with Adapter(REAL_WITHOUT_CLI) as adapter:
        begin(adapter.client)
        with pytest.raises(Refused, match="bare python has no retroscope; install it there with") as refused:
            adapter.client.request("launch", code="print(1)", python=str(python))
        assert refused.value.show_user


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "there is no recording at"), (b"some text", "trace.db is not a trace of Retroscope")],
)
def test_a_failed_attach_says_why(client: Client, tmp_path: Path, content: bytes | None, sentence: str) -> None:
    trace = tmp_path / "trace.db"
    if content is not None:
        trace.write_bytes(content)
    begin(client)
    with pytest.raises(Refused, match=sentence) as refused:
        client.request("attach", trace=str(trace))
    assert refused.value.show_user
    assert str(trace) in str(refused.value)


def test_braces_in_a_sentence_reach_the_user(client: Client) -> None:
    begin(client)
    with pytest.raises(Refused) as refused:
        client.request("launch", program="/nowhere/{name}.py")
    error = refused.value.response["body"]["error"]
    assert error["format"].format(**error["variables"]) == "there is no program at /nowhere/{name}.py"


def test_no_debug_runs_the_program_and_records_nothing(client: Client, fine: Path) -> None:
    begin(client)
    client.request("launch", program=str(fine), noDebug=True)
    client.wait_for("initialized")
    assert client.wait_for("exited") == {"exitCode": 0}
    client.wait_for("terminated")
    assert client.output("stdout").endswith("done\n")
    assert not list(fine.parent.glob("*.db"))


def test_output_comes_while_the_program_still_runs(client: Client, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    program = tmp_path / "slow.py"
    program.write_text(
        f"import os, time\nprint('begun')\nwhile not os.path.exists({str(gate)!r}):\n    time.sleep(0.01)\n"
    )
    begin(client)
    launch = client.send("launch", program=str(program))
    client.wait_for_output("stdout", "begun\n")
    gate.touch()
    client.answer(launch)


def test_terminate_while_recording_ends_the_program_and_opens_what_was_recorded(client: Client, tmp_path: Path) -> None:
    program = tmp_path / "server.py"
    program.write_text(
        "import signal, time\nasked = []\nsignal.signal(signal.SIGINT, lambda *_: asked.append(1))\nprint('serving')\n"
        "while not asked:\n    time.sleep(0.01)\nprint('bye')\n"
    )
    begin(client)
    launch = client.send("launch", program=str(program))
    client.wait_for_output("stdout", "serving\n")
    client.request("terminate")
    client.answer(launch)
    assert client.output("stdout") == "bye\n"
    client.request("configurationDone")
    assert client.wait_for("stopped")["reason"] == "entry"


@pytest.mark.parametrize("ending", ["by itself", "terminate", "cancel"])
def test_a_launch_that_takes_long_is_answered_while_the_program_runs(
    client: Client, tmp_path: Path, ending: str
) -> None:
    """Editors show no Stop before, and Neovim complains after four seconds."""
    gate = tmp_path / "gate"
    program = tmp_path / "slow.py"
    program.write_text(
        "import os, signal, time\nasked = []\nsignal.signal(signal.SIGINT, lambda *_: asked.append(1))\n"
        f"while not asked and not os.path.exists({str(gate)!r}):\n    time.sleep(0.01)\nprint('end')\n"
    )
    begin(client, supportsProgressReporting=True)
    client.request("launch", program=str(program))
    progress = client.wait_for("progressStart")
    assert progress["title"] == "Recording slow.py"
    assert progress["cancellable"] is True
    with pytest.raises(Refused, match=r"^the program is still being recorded: Stop ends it and opens its recording$"):
        client.request("evaluate", expression="1 + 1", context="repl")
    with pytest.raises(Refused, match=r"^the program is still being recorded"):
        client.request("pause", threadId=1)
    assert "event initialized" not in client.order
    if ending == "terminate":
        client.request("terminate")
    elif ending == "cancel":
        client.request("cancel", progressId=progress["progressId"])
    else:
        gate.touch()
    assert client.wait_for("progressEnd") == {"progressId": progress["progressId"]}
    client.wait_for("initialized")
    client.request("configurationDone")
    assert client.wait_for("stopped")["reason"] == "entry"
    assert client.output("stdout") == "end\n"
    assert client.request("evaluate", expression="1 + 1", context="repl")["result"] == "2"
    client.request("cancel", progressId=progress["progressId"])  # too late: no more than an answer
    assert client.order.count("response launch") == 1


def test_progress_is_for_clients_that_can_show_it(client: Client, tmp_path: Path) -> None:
    program = tmp_path / "slow.py"
    program.write_text("import time\ntime.sleep(2)\n")
    start(client, "launch", program=str(program))
    assert not client.waiting("progressStart")


def test_a_launch_that_fails_after_its_answer_ends_the_session(client: Client, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    program = tmp_path / "slow.py"
    program.write_text(f"import os, time\ntime.sleep(2)\nos.rmdir({str(folder)!r})\n")
    begin(client)
    client.request("launch", program=str(program), trace=str(folder / "trace.db"))
    client.wait_for("terminated")
    assert "slow.py could not be recorded: FileNotFoundError" in client.output("stderr")


@pytest.mark.parametrize("how", ["disconnect", "cancel", "hang up"])
def test_leaving_while_recording_ends_the_program(adapter: Adapter, tmp_path: Path, how: str) -> None:
    program = tmp_path / "endless.py"
    program.write_text("import os, time\nprint(os.getpid())\nwhile True:\n    time.sleep(0.01)\n")
    client = adapter.client
    begin(client)
    launch = client.send("launch", program=str(program))
    while not (pid := client.output("stdout")):
        time.sleep(0.01)
    if how == "hang up":
        assert adapter.process.stdin
        adapter.process.stdin.close()
        adapter.process.wait(10)
    elif how == "cancel":
        client.request("cancel", requestId=launch)
        client.request("disconnect")
    else:
        client.request("disconnect")
    assert gone(int(pid))


def test_disconnect_ends_the_adapter(adapter: Adapter, fine: Path) -> None:
    start(adapter.client, "launch", program=str(fine))
    assert adapter.leave() == ""
    assert adapter.process.returncode == 0


def test_a_client_that_goes_away_ends_the_adapter(adapter: Adapter, fine: Path) -> None:
    start(adapter.client, "launch", program=str(fine))
    assert adapter.process.stdin
    adapter.process.stdin.close()
    assert adapter.process.wait(10) == 0


def test_requests_out_of_order_are_refused(client: Client) -> None:
    with pytest.raises(Refused, match="'initialize' must come before 'threads'"):
        client.request("threads")
    begin(client)
    assert client.request("threads") == {"threads": []}
    for command in ("stackTrace", "next", "stepBack", "continue"):
        with pytest.raises(Refused, match="no recording is open yet"):
            client.request(command, threadId=1)
    with pytest.raises(Refused, match="does not serve the request 'restart'"):
        client.request("restart")


def test_a_second_recording_is_refused(client: Client, fine: Path) -> None:
    start(client, "launch", program=str(fine))
    with pytest.raises(Refused, match="open already"):
        client.request("launch", program=str(fine))


def test_a_stray_print_cannot_break_the_protocol(tmp_path: Path) -> None:
    """Standard output belongs to the client alone: what else is written there goes to standard error."""
    shim = tmp_path / "shim.py"
    shim.write_text(
        "import os, runpy, threading, time\n"
        "given = os.fstat(1)\n"
        "def stray():\n"
        "    while os.path.samestat(given, os.fstat(1)): time.sleep(0.01)  # until the adapter has taken it over\n"
        "    print('stray', flush=True), os.write(1, b'stray')\n"
        "threading.Thread(target=stray, daemon=True).start()\n"
        f"runpy.run_path({FAKE[1]!r}, run_name='__main__')\n"
    )
    with Adapter([FAKE[0], str(shim)]) as adapter:
        begin(adapter.client)
        time.sleep(0.5)
        adapter.client.request("threads")
        assert "stray" in adapter.leave()


def recorded(program: Path, folder: Path) -> Path:
    """A trace of a run with the fake recorder."""
    trace = folder / "recorded.db"
    with Adapter(FAKE) as adapter:
        start(adapter.client, "launch", program=str(program), trace=str(trace))
    return trace


def gone(pid: int) -> bool:
    """Whether a process has ended, waiting a little for it."""
    for _ in range(500):
        try:
            os.kill(pid, signal.SIG_DFL)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


def test_lines_written_piece_by_piece_come_as_lines(client: Client, tmp_path: Path) -> None:
    """Python writes a traceback in a hundred pieces; clients show every event on a line of its own."""
    program = tmp_path / "pieces.py"
    program.write_text("import sys\nfor _ in range(200):\n    sys.stdout.write('.')\nprint('end')\n")
    start(client, "launch", program=str(program))
    events = [body for body in client.waiting("output") if body["category"] == "stdout"]
    assert "".join(body["output"] for body in events) == "." * 200 + "end\n"
    assert len(events) < 10


def test_output_comes_in_the_order_in_which_it_was_written(client: Client, tmp_path: Path) -> None:
    """Most of all: what was printed comes before the traceback that ended the program."""
    program = tmp_path / "both.py"
    program.write_text(
        "import fcntl, os, termios\nfor number in range(5):\n"
        "    stream = 1 + number % 2\n    os.write(stream, b'%d\\n' % number)\n"
        "    while any(fcntl.ioctl(stream, termios.FIONREAD, bytes(4))): pass  # until the adapter has read it\n"
        "os.write(1, b'end\\n')\n1 / 0\n"
    )
    start(client, "launch", program=str(program))
    written = [body for body in client.waiting("output") if body["category"] in ("stdout", "stderr")]
    lines = [line for body in written for line in body["output"].splitlines()]
    assert lines == ["0", "1", "2", "3", "4", "end", "ZeroDivisionError: division by zero"]


def test_a_replay_that_diverges_is_never_passed_over(orders: Path) -> None:
    """A session that cannot trust its replay says so at the first stop, it does not just begin at the entry."""
    with Adapter(FAKE, FAKE_FAILURE="Diverged") as adapter:
        client = adapter.client
        stopped = start(client, "launch", program=str(orders))
        assert stopped["reason"] == "exception"
        assert stopped["description"].startswith("the replay differs from the recording, tick 1 of ")
        assert client.request("exceptionInfo", threadId=1)["exceptionId"] == "Diverged"
        assert "the replay called time.time" in client.output("stderr")
