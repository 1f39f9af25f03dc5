"""Commands in the debug console: every way back works without a button, and Python stays Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dap.client import Client, Refused, line_of, start, top
from tests.dap.test_breakpoints import breaks


def typed(client: Client, line: str) -> str:
    frames = client.request("stackTrace", threadId=1)["stackFrames"]
    frame = {"frameId": frames[0]["id"]} if frames else {}
    result: str = client.request("evaluate", expression=line, context="repl", **frame)["result"]
    return result


def move(client: Client, line: str) -> dict:
    """Types a command that moves; the `stopped` body."""
    client.waiting("continued")
    assert typed(client, line) == ""
    stopped = client.wait_for("stopped")
    assert client.waiting("continued") == [{"threadId": 1, "allThreadsContinued": True}]
    return stopped


@pytest.fixture
def entered(client: Client, fine: Path) -> Client:
    start(client, "launch", program=str(fine))
    return client


def tick(stopped: dict) -> int:
    return int(stopped["description"].split("tick ")[1].split()[0])


@pytest.mark.parametrize("mark", ["", ".", ":"])
def test_there_and_back(entered: Client, mark: str) -> None:
    assert tick(move(entered, mark + "goto 18")) == 18
    for there, back in [("step", "reverse-step"), ("s", "rs"), ("next", "reverse-next"), ("n", "rn")]:
        assert tick(move(entered, mark + there)) > 18
        assert tick(move(entered, mark + back)) == 18


def test_calls_and_breakpoints(entered: Client, fine: Path) -> None:
    breaks(entered, fine, line_of(fine, "square"))
    move(entered, "c")
    assert top(entered)[0] == "square"
    move(entered, "finish")
    assert top(entered)[0] != "square"
    move(entered, "rc")
    assert top(entered)[0] == "square"
    move(entered, "rf")
    assert top(entered)[0] != "square"
    move(entered, "continue")
    move(entered, "reverse-finish")
    assert move(entered, "reverse-continue")["description"].startswith("beginning")


@pytest.mark.parametrize(
    ("place", "description"),
    [
        ("goto 3", "tick 3 of"),
        ("goto 1_0", "tick 10 of"),
        ("goto end", "end of the recording"),
        ("goto entry", "tick 1 of"),
        ("goto input 2", "tick "),
    ],
)
def test_goto(entered: Client, place: str, description: str) -> None:
    assert move(entered, place)["description"].startswith(description)


def test_goto_failure(client: Client, orders: Path) -> None:
    start(client, "launch", program=str(orders), stopAt="entry")
    assert move(client, ".goto failure")["reason"] == "exception"


def test_a_place_that_is_not_there(entered: Client) -> None:
    """The client still learns that it stands somewhere, and the user why it did not move."""
    stopped = move(entered, "goto 100000")
    assert "tick 100000 is not in this recording" in stopped["text"]
    assert "tick 100000 is not in this recording" in entered.output("stderr")
    assert top(entered) == ("<module>", 1)


def test_the_console_says_where_it_led(entered: Client, fine: Path) -> None:
    entered.output("console")
    move(entered, "n")
    entered.request("threads")
    said = entered.output("console")
    assert said.startswith("tick 2 of ")
    assert said.endswith(f" (in the past)  {fine}:4 in <module>\n")


def test_questions(entered: Client, fine: Path) -> None:
    move(entered, "goto end")
    total = typed(entered, "tick").split()[3]
    assert typed(entered, "where") == "no Python code is running at this moment"
    assert typed(entered, ".output").splitlines()[-1] == "done"
    assert typed(entered, "threads") == "* 1 MainThread  running"
    assert "reverse-continue, rc" in typed(entered, "help")
    move(entered, "goto 1")
    assert typed(entered, "tick") == f"tick 1 of {total} (in the past)  {fine}:1 in <module>"
    assert typed(entered, "w") == f"{fine}:1 in <module>"
    assert typed(entered, "output") == "the program had written nothing by now"
    assert typed(entered, "p 6 * 7") == "42"


def test_last_write_and_why(entered: Client, fine: Path) -> None:
    move(entered, "goto 3")
    entered.output("console")
    stopped = move(entered, ".last-write total")
    assert tick(stopped) == 1
    entered.request("threads")
    said = entered.output("console").splitlines()
    assert said[0] == "total becomes 6 here, it was 5"
    move(entered, "goto 3")
    entered.output("console")
    move(entered, "why total")
    entered.request("threads")
    said = entered.output("console").splitlines()
    assert said[0] == "total becomes 6 here, it was 5"
    assert said[-2:] == ["  a = 1", "  b cannot be read: NameError: b"]


def test_why_of_nothing(entered: Client) -> None:
    move(entered, "why nothing")
    entered.request("threads")
    assert "nothing has no value here" in entered.output("stderr")


def test_what_if(entered: Client) -> None:
    for mark in ("", ".", ":"):
        answer = typed(entered, mark + "what-if total = 3")
        assert answer.splitlines() == [
            "after total = 3 in frame 0 it ends", "output:", "  - a", "  + b", "exceptions: no difference",
        ]  # fmt: skip
    with pytest.raises(Refused, match="the change failed: NameError"):
        typed(entered, "what-if fails")
    with pytest.raises(Refused, match=r"^\.what-if STATEMENT"):
        typed(entered, ".what-if")


def test_what_cannot_be_set_says_how_to_suppose_it(entered: Client) -> None:
    scope = entered.request("scopes", frameId=entered.request("stackTrace", threadId=1)["stackFrames"][0]["id"])
    reference = scope["scopes"][0]["variablesReference"]
    with pytest.raises(Refused, match=r"'what-if total = 5' in the console") as refused:
        entered.request("setVariable", variablesReference=reference, name="total", value="5")
    assert refused.value.show_user
    with pytest.raises(Refused, match=r"'what-if order.total = 5' in the console"):
        entered.request("setExpression", expression="order.total", value="5")


def test_a_variable_comes_before_a_bare_command(client: Client, orders: Path) -> None:
    start(client, "launch", program=str(orders))
    client.request("stackTrace", threadId=1)
    caller = client.request("stackTrace", threadId=1)["stackFrames"][2]["id"]
    answer = client.request("evaluate", expression="rs", context="repl", frameId=caller)
    assert answer["result"] == repr("a variable with a command's name")
    client.request("evaluate", expression=".rs", context="repl", frameId=caller)
    assert client.wait_for("stopped")["reason"] == "step"


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("next(iter([5]))", "5"),
        ("...", "Ellipsis"),
        (".5 + 1", "1.5"),
        ("print", "<built-in function print>"),
        ("list", "<class 'list'>"),
    ],
)
def test_python_stays_python(entered: Client, expression: str, result: str) -> None:
    assert typed(entered, expression) == result


@pytest.mark.parametrize("context", ["watch", "hover"])
def test_commands_are_for_the_console_only(entered: Client, context: str) -> None:
    with pytest.raises(Refused, match="NameError"):
        entered.request("evaluate", expression="rs", context=context)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (".sideways", "there is no command 'sideways'; .help lists them"),
        (".goto", ".goto TICK, input N, output N, hit N FUNCTION"),
        (".goto nowhere", ".goto TICK"),
        (".why", ".why EXPRESSION: as last-write, and the values of what that line read"),
        (".rs 5", ".reverse-step takes nothing behind it: one line back, into calls"),
    ],
)
def test_a_mistyped_command_says_how(entered: Client, line: str, sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        typed(entered, line)
    assert str(refused.value).startswith(sentence)
