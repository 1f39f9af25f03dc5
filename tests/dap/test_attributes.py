"""What the adapter reads, what the manifest of the extension offers, and what the documentation says are the same."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from retroscope.dap_adapter import (
    breakpoints,
    console,
    data_breakpoints,
    goto,
    inspection,
    lifecycle,
    motion,
    sources,
)
from retroscope.dap_adapter.configuration import ATTACH_ATTRIBUTES, LAUNCH_ATTRIBUTES, StopAt, read_attach, read_launch

from tests.dap.client import ROOT

DOCUMENT = (ROOT / "docs" / "dap.md").read_text()
MANIFEST = json.loads((ROOT / "vscode-extension" / "package.json").read_text())
(DEBUGGER,) = MANIFEST["contributes"]["debuggers"]
READ = {"launch": LAUNCH_ATTRIBUTES, "attach": ATTACH_ATTRIBUTES}
OF_THE_PROTOCOL = {"noDebug"}


class Watched(dict[str, Any]):
    """Arguments that remember what was asked of them."""

    def __init__(self, **given: Any) -> None:
        super().__init__(given)
        self.asked: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return super().__getitem__(name)


def documented(request: str) -> dict[str, str]:
    """Attribute and meaning of each row of the request's table in docs/dap.md."""
    section = DOCUMENT.split(f"## {request.title()}\n", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([^|]*) \|$", section, re.MULTILINE)
    return dict(rows)


def test_what_is_read_is_what_is_declared(tmp_path: Any) -> None:
    launch = Watched(module="m")
    read_launch(launch)
    assert launch.asked - OF_THE_PROTOCOL == set(LAUNCH_ATTRIBUTES)
    trace = tmp_path / "trace.db"
    trace.touch()
    attach = Watched(trace=str(trace))
    read_attach(attach)
    assert attach.asked == set(ATTACH_ATTRIBUTES)


@pytest.mark.parametrize("request_name", ["launch", "attach"])
def test_manifest_and_document_name_every_attribute_and_no_other(request_name: str) -> None:
    in_manifest = set(DEBUGGER["configurationAttributes"][request_name]["properties"])
    assert in_manifest == set(READ[request_name])
    assert set(documented(request_name)) == set(READ[request_name])


@pytest.mark.parametrize("request_name", ["launch", "attach"])
def test_manifest_says_what_the_document_says(request_name: str) -> None:
    """The first sentence of each meaning, so that the two do not drift apart."""
    properties = DEBUGGER["configurationAttributes"][request_name]["properties"]
    for name, meaning in documented(request_name).items():
        first = re.split(r"[.,;]", meaning.replace("`", ""))[0]
        assert properties[name]["description"].replace("`", "").startswith(first), name


def test_the_choices_of_stop_at() -> None:
    for request in READ:
        stop_at = DEBUGGER["configurationAttributes"][request]["properties"]["stopAt"]
        assert stop_at["enum"] == [choice.value for choice in StopAt]
        assert len(stop_at["enumDescriptions"]) == len(stop_at["enum"])


def test_snippets_use_known_attributes() -> None:
    bodies = [snippet["body"] for snippet in DEBUGGER["configurationSnippets"]] + DEBUGGER["initialConfigurations"]
    for body in bodies:
        assert set(body) - {"type", "request", "name"} <= set(READ[body["request"]])
        assert body["type"] == "retroscope"


def test_every_command_of_the_console_is_documented() -> None:
    section = DOCUMENT.split("## Commands in the debug console", 1)[1].split("\n## ", 1)[0]
    for command in console.COMMANDS:
        for word in command.words:
            assert re.search(rf"`\.{word}[ `]", section), word


def test_every_request_is_documented() -> None:
    section = DOCUMENT.split("## What the adapter can do", 1)[1]
    served: set[str] = {"cancel", "pause"} | set(motion.VERBS)
    for module, kind in [
        (lifecycle, "Lifecycle"),
        (breakpoints, "Breakpoints"),
        (inspection, "Inspection"),
        (sources, "Sources"),
        (data_breakpoints, "DataBreakpoints"),
        (goto, "Goto"),
    ]:
        family = getattr(module, kind).__new__(getattr(module, kind))
        served |= set(family.requests())
    served |= {"evaluate", "completions"}
    assert set(re.findall(r"`([a-z]\w+)`", section.split("\n\n")[1])) - {"raised", "uncaught"} == served
