"""Moving both ways: what each verb does, in which order it is told, and what happens at the ends of history."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.dap.client import FAKE, Adapter, Client, line_of, start, top

STEPS = ("next", "stepIn", "stepOut", "stepBack", "continue", "reverseContinue")


def go(client: Client, verb: str) -> dict:
    """Moves; the `stopped` body."""
    client.request(verb, threadId=1)
    return client.wait_for("stopped")


@pytest.mark.parametrize("verb", STEPS)
def test_the_response_precedes_the_stop(client: Client, fine: Path, verb: str) -> None:
    start(client, "launch", program=str(fine))
    before = len(client.order)
    stopped = go(client, verb)
    order = [name for name in client.order[before:] if name != "event output"]
    assert order == [f"response {verb}", "event stopped"]
    assert stopped["allThreadsStopped"] is True
    assert stopped["threadId"] == 1


def test_continue_says_that_all_threads_go_on(client: Client, fine: Path) -> None:
    start(client, "launch", program=str(fine))
    assert client.request("continue", threadId=1) == {"allThreadsContinued": True}


def test_steps_on_and_back_again(client: Client, fine: Path) -> None:
    start(client, "launch", program=str(fine))
    places = [top(client)]
    for _ in range(5):
        go(client, "next")
        places.append(top(client))
    assert ("<module>", line_of(fine, "squares")) in places
    assert all(function != "square" for function, _ in places)
    for place in reversed(places[:-1]):
        assert go(client, "stepBack")["reason"] == "step"
        assert top(client) == place


def test_into_a_function_and_out_of_it(client: Client, fine: Path) -> None:
    start(client, "launch", program=str(fine))
    while top(client)[0] != "square":
        go(client, "stepIn")
    assert top(client) == ("square", line_of(fine, "square"))
    go(client, "stepOut")
    assert top(client)[0] != "square"


def test_every_stop_says_where_in_time_it_is(client: Client, fine: Path) -> None:
    total = int(start(client, "launch", program=str(fine))["description"].split()[3])
    assert go(client, "next")["description"] == f"tick 2 of {total} (in the past)"
    assert go(client, "continue")["description"] == f"end of the recording, tick {total} of {total}"
    assert go(client, "reverseContinue")["description"] == (
        f"beginning of the recording, tick 1 of {total} (in the past)"
    )


def test_the_end_is_no_end_of_the_session(client: Client, fine: Path) -> None:
    start(client, "launch", program=str(fine))
    assert go(client, "continue")["reason"] == "step"
    assert client.request("threads") == {"threads": [{"id": 1, "name": "MainThread"}]}
    (frame,) = client.request("stackTrace", threadId=1)["stackFrames"]  # an empty stack would leave old variables shown
    assert (frame["name"], frame["presentationHint"], frame["line"]) == ("the program ended here", "label", 0)
    assert client.request("scopes", frameId=frame["id"]) == {"scopes": []}
    assert client.request("stackTrace", threadId=1, startFrame=1, levels=19)["stackFrames"] == []
    assert go(client, "continue")["reason"] == "step"
    go(client, "stepBack")
    assert top(client)[0] == "<module>"
    assert not client.waiting("terminated")


def test_an_uncaught_exception_stops_a_motion_when_its_filter_is_set(client: Client, orders: Path) -> None:
    start(client, "launch", program=str(orders), stopAt="entry")
    stopped = go(client, "continue")
    assert (stopped["reason"], stopped["text"].split(":")[0]) == ("exception", "TypeError")
    client.request("setExceptionBreakpoints", filters=[])
    go(client, "reverseContinue")
    assert go(client, "continue")["description"].startswith("end of the recording")


def test_pause_stops_a_long_motion(fine: Path) -> None:
    with Adapter(FAKE, FAKE_PACE="0.05") as adapter:
        client = adapter.client
        start(client, "launch", program=str(fine))
        client.request("continue", threadId=1)
        client.request("pause", threadId=1)
        stopped = client.wait_for("stopped")
        assert stopped["reason"] == "pause"
        assert stopped["description"].startswith("paused, tick ")


def test_pause_while_nothing_moves_does_nothing(client: Client, fine: Path) -> None:
    start(client, "launch", program=str(fine))
    client.request("pause", threadId=1)
    assert go(client, "next")["reason"] == "step"


@pytest.mark.alone
def test_disconnect_does_not_wait_for_a_long_motion(fine: Path) -> None:
    with Adapter(FAKE, FAKE_PACE="5") as adapter:
        start(adapter.client, "launch", program=str(fine))
        adapter.client.request("continue", threadId=1)
        begun = time.monotonic()
        adapter.client.request("disconnect")
        assert time.monotonic() - begun < 3


def test_disconnect_does_not_wait_for_a_replay_that_hangs(fine: Path) -> None:
    with Adapter(FAKE, FAKE_PACE="0.01", FAKE_DEAF="1") as adapter:
        start(adapter.client, "launch", program=str(fine))
        adapter.client.request("continue", threadId=1)
        adapter.client.request("disconnect")
        assert "did not stop when asked" in adapter.leave()


def test_breakpoints_can_be_set_during_a_long_motion(fine: Path, tmp_path: Path) -> None:
    """The motion, which waits until it is interrupted, goes on afterwards, and the new breakpoint stops it."""
    under_way = tmp_path / "under way"
    with Adapter(FAKE, FAKE_GATE=str(under_way)) as adapter:
        client = adapter.client
        start(client, "launch", program=str(fine))
        client.request("continue", threadId=1)
        while not under_way.exists():
            time.sleep(0.01)
        last = line_of(fine, "done")
        client.request("setBreakpoints", source={"path": str(fine)}, breakpoints=[{"line": last}])
        assert client.request("threads")["threads"]
        assert client.wait_for("stopped")["reason"] == "breakpoint"
        assert top(client) == ("<module>", last)


def test_a_motion_that_fails_still_ends_in_a_stop(fine: Path) -> None:
    """Whatever goes wrong in a motion, the client must not believe that the program runs on."""
    for failure, said in [("ReplayError", "the replay process died"), ("ZeroDivisionError", "retroscope failed at")]:
        with Adapter(FAKE, FAKE_FAILURE=failure) as adapter:
            client = adapter.client
            start(client, "launch", program=str(fine))
            stopped = go(client, "continue")
            assert stopped["reason"] == "pause"
            assert stopped["text"].startswith(said)
            assert said in client.output("stderr")
            assert go(client, "next")["reason"] == "step"
