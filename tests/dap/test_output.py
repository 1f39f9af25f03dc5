"""The program's recorded output: shown as time passes, and never twice."""

from __future__ import annotations

from pathlib import Path

from tests.dap.client import FAKE, Adapter, Client, line_of, start
from tests.dap.test_breakpoints import breaks
from tests.dap.test_lifecycle import recorded
from tests.dap.test_motion import go


def test_output_follows_the_moment(client: Client, fine: Path, tmp_path: Path) -> None:
    trace = recorded(fine, tmp_path)
    start(client, "attach", trace=str(trace))
    breaks(client, fine, line_of(fine, "print"))
    go(client, "continue")
    assert client.output("stdout") == ""
    go(client, "continue")
    assert client.output("stdout") == "square 0\n"
    go(client, "continue")
    assert client.output("stdout") == "square 1\n"


def test_nothing_is_printed_twice(client: Client, fine: Path, tmp_path: Path) -> None:
    trace = recorded(fine, tmp_path)
    start(client, "attach", trace=str(trace))
    go(client, "continue")
    everything = client.output("stdout")
    assert everything == "square 0\nsquare 1\nsquare 4\nsquare 9\ndone\n"
    go(client, "reverseContinue")
    go(client, "continue")
    assert client.output("stdout") == ""


def test_streams_are_told_apart(client: Client, orders: Path, tmp_path: Path) -> None:
    trace = recorded(orders, tmp_path)
    start(client, "attach", trace=str(trace))
    client.request("threads")
    assert client.output("stdout").startswith("orders: 3 a\n")
    assert client.output("stderr") == "on the way\n"


def test_what_was_seen_while_recording_is_not_repeated(client: Client, fine: Path) -> None:
    start(client, "launch", program=str(fine))
    assert client.output("stdout").endswith("done\n")
    go(client, "continue")
    client.request("threads")
    assert client.output("stdout") == ""


def test_output_precedes_the_stop_it_led_to(fine: Path, tmp_path: Path) -> None:
    trace = recorded(fine, tmp_path)
    with Adapter(FAKE) as adapter:
        start(adapter.client, "attach", trace=str(trace))
        go(adapter.client, "continue")
        assert adapter.client.order[-1] == "event stopped"
        assert adapter.client.order[-2] == "event output"
