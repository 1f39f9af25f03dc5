"""Hit counts, log points, exception types, data breakpoints and jumping to a line, on real recordings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dap.client import REAL, Client, Refused, line_of, start, top
from tests.dap.test_breakpoints import breaks
from tests.dap.test_console import move
from tests.dap.test_motion import go

ADAPTER = REAL
CHANGES = """\
class Box:
    size = 0


def fill(box, items):
    total = 0
    for item in items:
        total += item
        items[0] = total  # @item
        box.size = total  # @attribute
    return total


box, other = Box(), [5, 6, 7]
alias = other
fill(box, alias)
count = 1
count = 2  # @global
print(count)
"""


@pytest.fixture
def changes(tmp_path: Path) -> Path:
    program = tmp_path / "changes.py"
    program.write_text(CHANGES)
    return program


def value(client: Client, expression: str) -> str:
    frame = client.request("stackTrace", threadId=1, levels=1)["stackFrames"][0]["id"]
    said: str = client.request("evaluate", expression=expression, context="watch", frameId=frame)["result"]
    return said


@pytest.mark.parametrize(
    ("form", "indexes"), [("3", [2]), (">= 2", [1, 2]), ("% 2 == 1", [0, 2]), ("< 2", [0])]
)  # fmt: skip
def test_hit_conditions(client: Client, orders: Path, form: str, indexes: list[int]) -> None:
    start(client, "launch", program=str(orders), stopAt="entry")
    client.request("setExceptionBreakpoints", filters=[])
    (answer,) = breaks(client, orders, line_of(orders, "call"), hitCondition=form)
    assert answer["verified"]
    for index in indexes:
        assert go(client, "continue")["hitBreakpointIds"] == [answer["id"]]
        assert value(client, "index") == str(index)
    assert go(client, "continue")["description"].startswith("end")
    for index in indexes[::-1]:
        go(client, "reverseContinue")
        assert value(client, "index") == str(index)


def test_a_hit_condition_that_is_none(client: Client, orders: Path) -> None:
    start(client, "launch", program=str(orders), stopAt="entry")
    (answer,) = breaks(client, orders, line_of(orders, "call"), hitCondition="often")
    assert (answer["verified"], answer["message"][:32]) == (False, "'often' does not say which hits;")


def test_log_points_are_said_in_both_directions(client: Client, orders: Path) -> None:
    start(client, "launch", program=str(orders), stopAt="entry")
    client.request("setExceptionBreakpoints", filters=[])
    line = line_of(orders, "call")
    breaks(client, orders, line, logMessage="{index}: {item['amount']} {{}}")
    client.output("console")
    assert go(client, "continue")["description"].startswith("end")
    assert client.output("console").splitlines() == ["0: 2 {}", "1: 5 {}", "2: None {}"]
    assert go(client, "reverseContinue")["description"].startswith("beginning")
    assert client.output("console").splitlines() == ["2: None {}", "1: 5 {}", "0: 2 {}"]
    (wrong,) = breaks(client, orders, line, logMessage="{index")
    assert wrong["message"] == "the message cannot be read: a { without a }; {{ is a brace itself"


def test_exception_filters_with_types(client: Client, orders: Path) -> None:
    start(client, "launch", program=str(orders), stopAt="entry")
    for kind, name, stops in [
        ("raised", "OSError, KeyError", False), ("raised", "builtins.TypeError", True),
        ("raised", "ValueError Exception", True),
        ("uncaught", "KeyError", False), ("uncaught", "TypeError", True), ("uncaught", "", True),
    ]:  # fmt: skip
        chosen = [{"filterId": kind, "condition": name}]
        assert client.request("setExceptionBreakpoints", filters=[], filterOptions=chosen)["breakpoints"] == [
            {"verified": True}
        ]
        move(client, ".goto entry")
        assert (go(client, "continue")["reason"] == "exception") == stops, (kind, name)
    chosen = [{"filterId": "raised", "condition": "1"}]
    (answer,) = client.request("setExceptionBreakpoints", filters=[], filterOptions=chosen)["breakpoints"]
    assert answer == {"verified": False, "message": "'1' is no name of an exception type"}


def data_breakpoint(client: Client, name: str, reference: int = 0) -> dict:
    """What is said about a variable of the innermost frame, or about a child of `reference`."""
    frame = client.request("stackTrace", threadId=1, levels=1)["stackFrames"][0]["id"]
    where = {"variablesReference": reference} if reference else {"frameId": frame}
    return client.request("dataBreakpointInfo", name=name, **where)


def variables(client: Client, *path: str) -> int:
    """The reference of a variable of the innermost frame, by names from the scope on."""
    frame = client.request("stackTrace", threadId=1, levels=1)["stackFrames"][0]["id"]
    reference = client.request("scopes", frameId=frame)["scopes"][0]["variablesReference"]
    for name in path:
        shown = client.request("variables", variablesReference=reference)["variables"]
        reference = next(one["variablesReference"] for one in shown if one["name"] == name)
    return int(reference)


def watch(client: Client, *infos: dict) -> list[int]:
    chosen = [{"dataId": info["dataId"], "accessType": "write"} for info in infos]
    answers = client.request("setDataBreakpoints", breakpoints=chosen)["breakpoints"]
    assert all(answer["verified"] for answer in answers)
    return [answer["id"] for answer in answers]


def test_data_breakpoints_on_items_and_attributes(client: Client, changes: Path) -> None:
    start(client, "launch", program=str(changes), stopAt="entry")
    breaks(client, changes, line_of(changes, "item") - 3)  # total = 0
    go(client, "continue")
    breaks(client, changes)
    reference = variables(client, "items")
    client.request("variables", variablesReference=reference)
    info = data_breakpoint(client, "[0]" if "[0]" in names(client, reference) else "0", reference)
    assert info["accessTypes"] == ["write"]
    attribute = data_breakpoint(client, "box.size")
    assert attribute["dataId"] is None or attribute["dataId"] != info["dataId"]
    (number,) = watch(client, info)
    for _ in range(2):  # the first store changes nothing
        stopped = go(client, "continue")
        assert (stopped["reason"], stopped["hitBreakpointIds"]) == ("data breakpoint", [number])
        assert top(client) == ("fill", line_of(changes, "attribute"))
    assert value(client, "items") == "[18, 6, 7]"
    go(client, "reverseContinue")
    assert (top(client), value(client, "items")) == (("fill", line_of(changes, "item")), "[11, 6, 7]")
    client.request("setDataBreakpoints", breakpoints=[])
    assert go(client, "continue")["description"].startswith("end")


ATTRIBUTES = """\
class Box:
    def __init__(self):
        self.size = 0  # @first

    def grow(self):
        self.size += 1  # @method


class Slim:
    __slots__ = ("size",)


def work(box, slim):
    begun = True  # @begun
    slim.size = 5  # @slot
    box.grow()
    setattr(alias, "size", 7)  # @setattr
    vars(box)["size"] = 8  # @dict
    del slim.size  # @delete
    begun = False
    return begun  # @done


alias = Box()
slim = Slim()
slim.size = 4
work(alias, slim)
"""


@pytest.mark.parametrize(
    ("watched", "writers"), [("box", ["method", "setattr", "dict"]), ("slim", ["slot", "delete"])]
)
def test_data_breakpoints_on_attributes_of_objects(
    client: Client, tmp_path: Path, watched: str, writers: list[str]
) -> None:
    """By the expression and by the row in the variables, forwards and backwards, whoever writes."""
    program = tmp_path / "attributes.py"
    program.write_text(ATTRIBUTES)
    start(client, "launch", program=str(program), stopAt="entry")
    breaks(client, program, line_of(program, "begun"))
    go(client, "continue")
    by_name = data_breakpoint(client, f"{watched}.size")
    reference = variables(client, watched)
    assert "size" in names(client, reference)  # a client asks about what it shows
    row = data_breakpoint(client, "size", reference)
    assert row["dataId"] is not None and by_name["accessTypes"] == row["accessTypes"] == ["write"]
    for info in (by_name, row):
        (number,) = watch(client, info)
        breaks(client, program, line_of(program, "done"))
        seen = []
        while (stopped := go(client, "continue"))["reason"] == "data breakpoint":
            assert stopped["hitBreakpointIds"] == [number]
            seen.append(top(client)[1])
        assert stopped["reason"] == "breakpoint"
        assert len(seen) == len(writers), seen
        back = []
        breaks(client, program, line_of(program, "begun"))
        while (stopped := go(client, "reverseContinue"))["reason"] == "data breakpoint":
            back.append(top(client)[1])
        assert back == [line_of(program, writer) for writer in reversed(writers)]


def names(client: Client, reference: int) -> list[str]:
    return [one["name"] for one in client.request("variables", variablesReference=reference)["variables"]]


def test_data_breakpoints_on_globals_and_locals(client: Client, changes: Path) -> None:
    start(client, "launch", program=str(changes), stopAt="entry")
    breaks(client, changes, line_of(changes, "global"), line_of(changes, "attribute"))
    go(client, "continue")
    local = data_breakpoint(client, "total", variables(client))
    assert local["description"].startswith("total, here ")
    go(client, "continue")
    go(client, "continue")
    go(client, "continue")
    assert top(client) == ("<module>", line_of(changes, "global"))
    breaks(client, changes)
    number, _ = watch(client, data_breakpoint(client, "count"), local)
    stopped = go(client, "continue")
    assert stopped["hitBreakpointIds"] == [number] and "count is 2 now, it was 1" in stopped["text"]
    go(client, "reverseContinue")
    assert top(client) == ("<module>", line_of(changes, "global"))


def test_what_cannot_be_watched_says_why(client: Client, changes: Path) -> None:
    start(client, "launch", program=str(changes), stopAt="entry")
    info = data_breakpoint(client, "print(1)")
    assert info["dataId"] is None and info["description"].startswith("print(1) cannot be watched: ")
    answers = client.request("setDataBreakpoints", breakpoints=[{"dataId": "77"}])["breakpoints"]
    assert answers[0]["message"] == "this place is of another session; ask for it again"


def test_jump_to_a_line(client: Client, orders: Path) -> None:
    start(client, "launch", program=str(orders), stopAt="entry")
    client.request("setExceptionBreakpoints", filters=[])
    line = line_of(orders, "add")
    targets = client.request("gotoTargets", source={"path": str(orders)}, line=line)["targets"]
    forward, back = (target["id"] for target in targets)
    assert targets[0]["label"] == f"line {line}, the next time"
    assert targets[1]["label"] == f"line {line}, the last time before"
    for index in ("0", "1"):
        assert goto(client, forward)["reason"] == "goto"
        assert (top(client), value(client, "index")) == (("total", line), index)
    assert goto(client, back)["reason"] == "goto"
    assert value(client, "index") == "0"
    stopped = goto(client, back)
    assert "is not reached before this moment" in stopped["text"]
    assert value(client, "index") == "0"


def goto(client: Client, target: int) -> dict:
    client.request("goto", threadId=1, targetId=target)
    return client.wait_for("stopped")


def test_places_by_number_in_the_console(client: Client, orders: Path) -> None:
    start(client, "launch", program=str(orders), stopAt="entry")
    move(client, ".goto hit 3 price")
    assert value(client, "item['name']") == "'gear'"
    move(client, f".goto hit 2 orders.py:{line_of(orders, 'call')}")
    assert value(client, "index") == "1"
    assert move(client, "goto raise 1 TypeError")["reason"] == "exception"
    move(client, "goto output 1")
    assert top(client)[0] == "main"
    assert "it happened 3 times, not 9 times" in move(client, ".goto hit 9 price")["text"]
    with pytest.raises(Refused, match=r"^\.goto TICK"):
        move(client, ".goto hit price")
