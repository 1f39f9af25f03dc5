"""The wire itself: hostile and broken clients, the port, the log."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.dap import schema
from tests.dap.client import FAKE, Adapter, Client, PortAdapter, Refused, begin, start, top


@pytest.mark.parametrize(
    "bytes_sent",
    [
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
        b"Content-Length: nonsense\r\n\r\n",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: 3\r\n\r\n[1]",
        b"Content-Length: 5\r\n\r\n{'a'}",
        b"Content-Length: 30\r\n\r\n" + b'{"seq": "x", "type":"request"}',
        b"Content-Length: 9\r\n\r\n\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff",
        b"x" * 5000,
    ],
)
def test_what_is_not_dap_ends_the_session_with_one_sentence(bytes_sent: bytes) -> None:
    with Adapter(FAKE) as adapter:
        assert adapter.process.stdin and adapter.process.stderr
        adapter.process.stdin.write(bytes_sent)
        adapter.process.stdin.flush()
        assert adapter.process.wait(10) == 0
        said = adapter.process.stderr.read().decode()
        assert said.startswith("scope dap: the client was cut off: ")
        assert said.count("\n") == 1


def test_a_stream_that_ends_within_a_message_ends_the_session() -> None:
    for part in (b"Content-Le", b"Content-Length: 100\r\n\r\n{"):
        with Adapter(FAKE) as adapter:
            assert adapter.process.stdin
            adapter.process.stdin.write(part)
            adapter.process.stdin.close()
            assert adapter.process.wait(10) == 0


def test_one_session_after_another_on_a_port(fine: Path) -> None:
    with PortAdapter(FAKE) as adapter:
        for _ in range(3):
            connection, client = adapter.connect()
            with connection:
                start(client, "launch", program=str(fine))
                assert top(client) == ("<module>", 1)
                client.request("disconnect")
                client.wait_for_end()


def test_a_client_that_breaks_off_leaves_the_port_free_for_the_next(fine: Path) -> None:
    with PortAdapter(FAKE) as adapter:
        connection, client = adapter.connect()
        start(client, "launch", program=str(fine))
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()
        second, client = adapter.connect()
        with second:
            begin(client)
            client.request("disconnect")
            client.wait_for_end()


def test_only_this_machine_can_connect() -> None:
    with PortAdapter(FAKE) as adapter:
        text = Path("/proc/net/tcp").read_text()
        listening = [
            line.split()[1] for line in text.splitlines()[1:] if line.split()[1].endswith(f":{adapter.port:04X}")
        ]
        assert listening == [f"0100007F:{adapter.port:04X}"]


def test_a_queued_request_can_be_taken_back(fine: Path) -> None:
    with Adapter(FAKE, FAKE_PACE="0.3") as adapter:
        client = adapter.client
        start(client, "launch", program=str(fine))
        client.request("continue", threadId=1)
        waiting = client.send("stackTrace", threadId=1)
        client.request("cancel", requestId=waiting)
        client.request("pause", threadId=1)
        with pytest.raises(Refused, match=r"^cancelled$"):
            client.answer(waiting)
        client.wait_for("stopped")


def test_every_message_is_logged(fine: Path, tmp_path: Path) -> None:
    log = tmp_path / "session.log"
    with Adapter([*FAKE, "--log", str(log)]) as adapter:
        start(adapter.client, "launch", program=str(fine))
        adapter.client.request("disconnect")
        order = adapter.client.order
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    for entry in entries:
        schema.check(entry["message"])
    sent = [entry["message"] for entry in entries if entry["direction"] == "sent"]
    assert [f"{one['type']} {one.get('event') or one['command']}" for one in sent] == order
    received = [entry["message"]["command"] for entry in entries if entry["direction"] == "received"]
    assert received == ["initialize", "launch", "setExceptionBreakpoints", "configurationDone", "disconnect"]


def test_the_schema_check_can_fail(client: Client) -> None:
    good = {"seq": 1, "type": "event", "event": "stopped", "body": {"reason": "step"}}
    schema.check(good)
    for body in ({}, {"reason": 1}, {"reason": "step", "treadId": 1}):
        with pytest.raises(schema.NotInSchema):
            schema.check({**good, "body": body})
    with pytest.raises(schema.NotInSchema):
        schema.check({**good, "event": "halted"})
