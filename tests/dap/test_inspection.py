"""Looking at a moment, and being refused what belongs to another."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dap.client import Client, Refused, line_of, start
from tests.dap.test_motion import go


@pytest.fixture
def failed(client: Client, orders: Path) -> Client:
    """A client that stands at the failure of orders.py."""
    start(client, "launch", program=str(orders))
    return client


def frames(client: Client, **page: int) -> list[dict]:
    found: list[dict] = client.request("stackTrace", threadId=1, **page)["stackFrames"]
    return found


def variables(client: Client, reference: int, **slice_of: object) -> dict[str, str]:
    answer = client.request("variables", variablesReference=reference, **slice_of)["variables"]
    return {one["name"]: one["value"] for one in answer}


def test_the_stack(failed: Client, orders: Path) -> None:
    assert [(one["name"], one["line"]) for one in frames(failed)] == [
        ("price", line_of(orders, "multiply")),
        ("total", line_of(orders, "call")),
        ("main", 27),
        ("<module>", line_of(orders, "main")),
    ]
    assert frames(failed)[0]["source"] == {"name": "orders.py", "path": str(orders)}


def test_the_stack_in_pages(failed: Client) -> None:
    everything = frames(failed)
    assert frames(failed, startFrame=0, levels=1) == everything[:1]
    assert frames(failed, startFrame=1, levels=2) == everything[1:3]
    assert frames(failed, startFrame=3, levels=20) == everything[3:]
    assert frames(failed, startFrame=9, levels=20) == []
    assert failed.request("stackTrace", threadId=1, levels=1)["totalFrames"] == 4


def test_an_unknown_thread(failed: Client) -> None:
    with pytest.raises(Refused, match="there is no thread 7"):
        failed.request("stackTrace", threadId=7)


def test_scopes_and_variables(failed: Client) -> None:
    (_, caller, *_rest) = frames(failed)
    local, module = failed.request("scopes", frameId=caller["id"])["scopes"]
    assert (local["name"], local["expensive"], local["presentationHint"]) == ("Locals", False, "locals")
    assert (module["name"], module["expensive"]) == ("Globals", True)
    shown = variables(failed, local["variablesReference"])
    assert shown["index"] == "2"
    assert shown["result"] == "21"
    assert "RATE" in variables(failed, module["variablesReference"])


def test_a_value_opens(failed: Client) -> None:
    frame = frames(failed)[1]["id"]
    items = failed.request("evaluate", expression="items", frameId=frame, context="watch")
    assert (items["type"], items["indexedVariables"]) == ("list", 3)
    children = failed.request("variables", variablesReference=items["variablesReference"])["variables"]
    assert [one["name"] for one in children] == ["[0]", "[1]", "[2]"]
    assert variables(failed, children[2]["variablesReference"]) == {"name": "'gear'", "amount": "None"}


def test_pages_of_a_long_value(failed: Client) -> None:
    reference = failed.request("evaluate", expression="list(range(5000))", context="watch")["variablesReference"]
    page = variables(failed, reference, filter="indexed", start=4990, count=100)
    assert page == {f"[{number}]": str(number) for number in range(4990, 5000)}
    assert variables(failed, reference, filter="named") == {}
    assert variables(failed, reference, filter="indexed", start=9000, count=10) == {}
    unpaged = variables(failed, reference)
    assert len(unpaged) == 1001
    assert unpaged["…"] == "and 4000 more"


def test_frames_and_variables_are_void_after_a_motion(failed: Client) -> None:
    frame = frames(failed)[0]["id"]
    scope = failed.request("scopes", frameId=frame)["scopes"][0]["variablesReference"]
    go(failed, "stepBack")
    with pytest.raises(Refused, match="belongs to a moment that was left"):
        failed.request("scopes", frameId=frame)
    with pytest.raises(Refused, match="belongs to a moment that was left"):
        failed.request("variables", variablesReference=scope)
    with pytest.raises(Refused, match="belongs to a moment that was left"):
        failed.request("evaluate", expression="1", frameId=frame)


@pytest.mark.parametrize("context", ["hover", "watch", "repl", "clipboard", "variables"])
def test_evaluate_in_every_context(failed: Client, context: str) -> None:
    frame = frames(failed)[1]["id"]
    answer = failed.request("evaluate", expression="result + 1", frameId=frame, context=context)
    assert (answer["result"], answer["type"], answer["variablesReference"]) == ("22", "int", 0)


def test_an_expression_that_fails(failed: Client) -> None:
    with pytest.raises(Refused, match=r"^NameError: name 'nothing' is not defined$") as refused:
        failed.request("evaluate", expression="nothing", context="watch")
    assert not refused.value.show_user


def test_what_was_raised(failed: Client, orders: Path) -> None:
    answer = failed.request("exceptionInfo", threadId=1)
    assert answer["exceptionId"] == "TypeError"
    assert answer["description"].startswith("TypeError: unsupported operand")
    assert answer["breakMode"] == "unhandled"
    assert answer["details"]["message"].startswith("unsupported operand")
    assert answer["details"]["stackTrace"].splitlines()[-1] == (
        f'  File "{orders}", line {line_of(orders, "multiply")}, in price'
    )


def test_nothing_was_raised(client: Client, fine: Path) -> None:
    start(client, "launch", program=str(fine))
    with pytest.raises(Refused, match="this moment is no stop at an exception"):
        client.request("exceptionInfo", threadId=1)


def test_completions_of_names_attributes_and_commands(failed: Client) -> None:
    frame = frames(failed)[1]["id"]

    def labels(typed: str) -> list[str]:
        answer = failed.request("completions", text=typed, column=len(typed) + 1, frameId=frame)
        return [one["label"] for one in answer["targets"]]

    assert "result" in labels("1 + res")
    assert "enumerate" in labels("enu")
    assert labels("items.app") == ["append"]
    assert labels(".reverse-c") == ["reverse-continue"]
    assert {"reverse-step", "reversed"} <= set(labels("reverse"))
    assert labels("no_such_thing.x") == []
    assert labels("1 + ") == []


def test_a_completion_says_what_it_replaces(failed: Client) -> None:
    """Columns are counted in UTF-16 code units: the key takes two."""
    target = failed.request("completions", text="'🔑'.isid", column=10)["targets"]
    assert target == []
    (target,) = failed.request("completions", text="['🔑', RAT", column=11)["targets"]
    assert (target["label"], target["start"], target["length"]) == ("RATE", 8, 3)
