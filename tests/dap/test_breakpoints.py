"""Breakpoints of every kind: verified against the recording, hit in both directions, removed again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dap.client import Client, Refused, begin, line_of, start, top
from tests.dap.test_motion import go


def breaks(client: Client, program: Path, *lines: int, **each: str) -> list[dict]:
    """Sets line breakpoints; `each` goes into every one."""
    wanted = [{"line": line, **each} for line in lines]
    answer: list[dict] = client.request("setBreakpoints", source={"path": str(program)}, breakpoints=wanted)[
        "breakpoints"
    ]
    return answer


def test_a_line_is_verified_and_hit_in_both_directions(client: Client, fine: Path) -> None:
    start(client, "launch", program=str(fine))
    line = line_of(fine, "print")
    (answer,) = breaks(client, fine, line)
    assert (answer["verified"], answer["line"], answer["source"]["path"]) == (True, line, str(fine))
    for expected in range(4):
        stopped = go(client, "continue")
        assert (stopped["reason"], stopped["hitBreakpointIds"]) == ("breakpoint", [answer["id"]])
        assert client.request("evaluate", expression="value", context="watch")["result"] == str(expected**2)
    for expected in (2, 1, 0):
        go(client, "reverseContinue")
        assert client.request("evaluate", expression="value", context="watch")["result"] == str(expected**2)
    assert go(client, "reverseContinue")["description"].startswith("beginning")


def test_a_condition(client: Client, fine: Path) -> None:
    start(client, "launch", program=str(fine))
    breaks(client, fine, line_of(fine, "print"), condition="value == 4")
    assert go(client, "continue")["reason"] == "breakpoint"
    assert client.request("evaluate", expression="value", context="watch")["result"] == "4"
    assert go(client, "continue")["description"].startswith("end")


def test_what_cannot_be_hit_says_why(client: Client, fine: Path) -> None:
    start(client, "launch", program=str(fine))
    (never,) = breaks(client, fine, 2)
    assert (never["verified"], never["message"]) == (False, "line 2 never ran")
    (wrong,) = breaks(client, fine, line_of(fine, "print"), condition="value ==")
    assert not wrong["verified"]
    assert wrong["message"].startswith("the condition is not Python")
    (elsewhere,) = breaks(client, fine.parent / "other.py", 1)
    assert "was not loaded" in elsewhere["message"]


def test_files_keep_their_breakpoints_apart(client: Client, fine: Path) -> None:
    start(client, "launch", program=str(fine))
    breaks(client, fine, line_of(fine, "done"))
    breaks(client, fine.parent / "other.py", 1)
    assert go(client, "continue")["reason"] == "breakpoint"
    assert breaks(client, fine) == []
    go(client, "reverseContinue")
    assert go(client, "continue")["description"].startswith("end")


def test_functions(client: Client, fine: Path) -> None:
    start(client, "launch", program=str(fine))
    wanted = [{"name": "square", "condition": "number == 2"}, {"name": "cube"}]
    square, cube = client.request("setFunctionBreakpoints", breakpoints=wanted)["breakpoints"]
    assert (square["verified"], cube["verified"]) == (True, False)
    assert cube["message"] == "no function cube ran"
    stopped = go(client, "continue")
    assert (stopped["reason"], stopped["hitBreakpointIds"]) == ("function breakpoint", [square["id"]])
    assert top(client)[0] == "square"


def test_exception_filters(client: Client, orders: Path) -> None:
    start(client, "launch", program=str(orders), stopAt="entry")
    answer = client.request("setExceptionBreakpoints", filters=["raised", "userUnhandled"])["breakpoints"]
    assert answer[0] == {"verified": True}
    assert answer[1] == {"verified": False, "message": "retroscope has no exception filter 'userUnhandled'"}
    assert go(client, "continue")["reason"] == "exception"


def test_the_older_form_of_the_request(client: Client, fine: Path) -> None:
    """Emacs sends `lines` beside `breakpoints`; older clients send them alone."""
    start(client, "launch", program=str(fine))
    line = line_of(fine, "done")
    answer = client.request("setBreakpoints", source={"path": str(fine)}, lines=[line])
    assert answer["breakpoints"][0]["line"] == line


def test_a_path_through_a_link_is_the_same_file(client: Client, fine: Path, tmp_path: Path) -> None:
    link = tmp_path / "linked"
    link.symlink_to(tmp_path)
    start(client, "launch", program=str(fine))
    (answer,) = breaks(client, link / "fine.py", line_of(fine, "done"))
    assert answer["verified"]


def test_a_client_that_counts_from_zero(client: Client, fine: Path) -> None:
    begin(client, linesStartAt1=False, columnsStartAt1=False)
    client.request("launch", program=str(fine))
    (answer,) = breaks(client, fine, line_of(fine, "done") - 1)
    assert (answer["verified"], answer["line"]) == (True, line_of(fine, "done") - 1)
    client.request("configurationDone")
    client.wait_for("stopped")
    go(client, "continue")
    frame = client.request("stackTrace", threadId=1)["stackFrames"][0]
    assert (frame["line"], frame["column"]) == (line_of(fine, "done") - 1, 0)


@pytest.mark.parametrize(
    "arguments",
    [
        {"source": {"path": "/a.py"}, "breakpoints": [{"line": 1}, {"line": "two"}]},
        {"source": {"path": "/a.py"}, "breakpoints": "all"},
        {"source": {}, "breakpoints": []},
        {"breakpoints": []},
    ],
)
def test_nonsense_is_refused_and_the_session_goes_on(client: Client, fine: Path, arguments: dict) -> None:
    start(client, "launch", program=str(fine))
    client.send_raw({"seq": 900, "type": "request", "command": "setBreakpoints", "arguments": arguments})
    with pytest.raises(Refused):
        client.answer(900)
    assert go(client, "next")["reason"] == "step"
