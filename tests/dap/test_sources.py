"""Source as it was recorded, whatever has become of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dap.client import Client, Refused, line_of, start
from tests.dap.test_breakpoints import breaks
from tests.dap.test_motion import go


def shown(client: Client) -> dict:
    source: dict = client.request("stackTrace", threadId=1, levels=1)["stackFrames"][0]["source"]
    return source


@pytest.mark.parametrize("fate", ["has changed", "is gone"])
def test_the_recorded_text_replaces_a_file_that_differs(client: Client, fine: Path, fate: str) -> None:
    start(client, "launch", program=str(fine))
    original = fine.read_text()
    assert shown(client) == {"name": "fine.py", "path": str(fine)}
    if fate == "is gone":
        fine.unlink()
    else:
        fine.write_text("print('another')\n")
    source = shown(client)
    assert source["name"] == "fine.py (as recorded)"
    assert source["origin"] == f"from the recording: the file on disk {fate}"
    reference = source["sourceReference"]
    answer = client.request("source", source=source, sourceReference=reference)
    assert answer == {"content": original, "mimeType": "text/x-python"}
    fine.write_text(original)
    assert shown(client) == {"name": "fine.py", "path": str(fine)}


def test_breakpoints_in_the_recorded_text(client: Client, fine: Path) -> None:
    line = line_of(fine, "done")
    start(client, "launch", program=str(fine))
    fine.unlink()
    source = shown(client)
    answer = client.request("setBreakpoints", source=source, breakpoints=[{"line": line}])["breakpoints"][0]
    assert answer["verified"]
    assert answer["source"]["sourceReference"] == source["sourceReference"]
    assert go(client, "continue")["hitBreakpointIds"] == [answer["id"]]


def test_line_ends_and_byte_order_mark_make_no_difference(client: Client, fine: Path) -> None:
    start(client, "launch", program=str(fine))
    fine.write_bytes(b"\xef\xbb\xbf" + fine.read_bytes().replace(b"\n", b"\r\n"))
    assert shown(client) == {"name": "fine.py", "path": str(fine)}


def test_loaded_sources(client: Client, fine: Path) -> None:
    start(client, "launch", program=str(fine))
    assert client.request("loadedSources") == {"sources": [{"name": "fine.py", "path": str(fine)}]}


def test_a_source_nobody_recorded(client: Client, fine: Path) -> None:
    start(client, "launch", program=str(fine))
    with pytest.raises(Refused, match=r"the source of /other\.py was not recorded"):
        client.request("source", source={"path": "/other.py"}, sourceReference=0)
    with pytest.raises(Refused, match="source reference 99 is not of this session"):
        client.request("source", sourceReference=99)


def test_paths_as_uris(client: Client, fine: Path) -> None:
    from tests.dap.client import begin

    begin(client, pathFormat="uri")
    client.request("launch", program=str(fine))
    (answer,) = breaks(client, Path(fine.as_uri()), line_of(fine, "done"))
    assert answer["verified"]
