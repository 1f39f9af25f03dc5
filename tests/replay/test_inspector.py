"""The inspector over its wire, on a live frame: what it shows, how little it touches, and how much it can be asked."""

from __future__ import annotations

import ast
import json
import marshal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from retroscope.replay import inspector
from retroscope.replay.launch import _INSPECTOR

from tests.replay import inspected


class Wire:
    """The controller's end."""

    def __init__(self) -> None:
        self.ours, theirs = socket.socketpair()
        self.frame = inspected.moment()

        def serve() -> None:
            with theirs:
                inspector.serve(theirs.fileno(), None, self.frame)

        self.thread = threading.Thread(target=serve)
        self.thread.start()
        self.pid = self.receive()

    def receive(self) -> Any:
        size = int.from_bytes(self.ours.recv(4, socket.MSG_WAITALL), "little")
        return json.loads(self.ours.recv(size, socket.MSG_WAITALL).decode("utf-8", "surrogatepass"))

    def ask(self, *request: object) -> Any:
        body = marshal.dumps(request)
        self.ours.sendall(len(body).to_bytes(4, "little") + body)
        verdict, result = self.receive()
        assert verdict == "ok", result
        return result

    def locals(self) -> dict[str, Any]:
        (name, reference), _ = self.ask("scopes", 0)
        assert name == "Locals"
        return {row[0]: row for row in self.ask("children", reference, 0, None)}

    def close(self) -> None:
        self.ours.close()
        self.thread.join(5)


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.close()


def test_variables_are_shown_without_running_the_program(wire: Wire) -> None:
    rows = wire.locals()
    module = inspected.__name__
    shown = {name: row[1] for name, row in rows.items()}
    assert shown["loud"] == f"<{module}.Loud object>"
    assert shown["strange"] == f"<{module}.Strange object>"
    assert shown["loud_dict"] == module + ".LoudDict({'a': 1})"
    assert shown["loud_str"] == "'quiet'"
    assert shown["slots"] == f"<{module}.Slots object>"
    assert shown["red"] == f"<{module}.Color.RED: 1>"
    assert shown["high"] == f"<{module}.Level.HIGH: 9>"
    assert shown["order"] == f"{module}.Order(number=7, lines=['x'])"
    assert shown["point"] == f"{module}.Point(x=1, y=2)"
    assert shown["nested"] == "[[[…]]]"
    assert shown["cyclic"] == "[1, …]"
    assert shown["error"] == "ValueError('bad', 3)"
    assert shown["money"] == "Decimal('1.50')"
    assert shown["huge"] == "<int of 50001 bits>"
    assert all(len(text) <= 160 for text in shown.values())
    for name in ("loud", "loud_dict", "slots", "order", "point", "error", "generator", "red"):
        wire.ask("children", rows[name][3], 0, None)
    assert inspected.touched == []


def test_children_come_in_pages_and_with_expressions(wire: Wire) -> None:
    rows = wire.locals()
    _, text, kind, reference, named, indexed, expression = rows["numbers"]
    assert (text[:6], kind, named, indexed, expression) == ("[0, 1,", "list", 0, 1000, "numbers")
    page = wire.ask("children", reference, 500, 3)
    assert [(row[0], row[1], row[6]) for row in page] == [(f"[{n}]", str(n), f"numbers[{n}]") for n in (500, 501, 502)]
    assert rows["many"][4:6] == [0, 500]
    assert [row[0] for row in wire.ask("children", rows["many"][3], 498, 10)] == ["['498']", "['499']"]
    (number, lines) = wire.ask("children", rows["order"][3], 0, None)
    assert (number[0], number[1], number[6]) == ("number", "7", "order.number")
    assert [row[6] for row in wire.ask("children", lines[3], 0, None)] == ["order.lines[0]"]
    assert [row[:2] for row in wire.ask("children", rows["slots"][3], 0, None)] == [["filled", "1"]]
    assert [row[:2] for row in wire.ask("children", rows["point"][3], 0, None)] == [["x", "1"], ["y", "2"]]


def test_evaluation_runs_anything_and_says_what_went_wrong(wire: Wire) -> None:
    assert wire.ask("evaluate", 0, "[n + order.number for n in numbers if n < 2]")[1][1] == "[7, 8]"
    assert wire.ask("evaluate", 0, "loud")[1][1] == "loud and clear"
    only = "set(locals()) <= set(moment.__code__.co_varnames), 'order' in dir(), 'Loud' in dir(), Loud is not None"
    assert wire.ask("evaluate", 0, only)[1][1] == "(True, True, False, True)"
    only = "globals() is moment.__globals__, 'order' in globals(), 'Loud' in globals()"
    assert wire.ask("evaluate", 0, only)[1][1] == "(True, False, True)"
    assert wire.ask("evaluate", 0, "print('order' in globals(), [order.number for _ in 'a'])")[0] == "False [7]\n"
    assert wire.ask("evaluate", 0, "print('out', order.number)\nfor n in range(2): print(n)")[0] == "out 7\n0\n1\n"
    assert wire.ask("evaluate", 0, "missing")[2] == "NameError: name 'missing' is not defined"
    assert wire.ask("evaluate", 0, "raise SystemExit(3)")[2] == "SystemExit: 3"
    assert wire.ask("evaluate", 0, "1 +")[2].startswith("SyntaxError: ")
    assert wire.ask("truth", 0, "order.number == 7") == [True, None]
    assert wire.ask("truth", 0, "order.nothing")[1] is not None
    printed, row, failure = wire.ask("evaluate", 0, "order")
    assert (printed, failure) == ("", None)
    assert [child[0] for child in wire.ask("children", row[3], 0, None)] == ["number", "lines"]


def test_the_stack_and_its_names(wire: Wire) -> None:
    _, function, path, line, visible = wire.ask("stack")[0]
    assert (function, path, visible) == ("moment", inspected.__file__, True)
    assert line > inspected.moment.__code__.co_firstlineno
    assert {"order", "Loud", "moment"} <= set(wire.ask("names", 0))
    assert wire.ask("arguments", 0) == []


def test_any_text_survives_the_wire(wire: Wire) -> None:
    text = "".join(map(chr, range(0x250))) + "\ud800\U0001f40d"
    row = wire.ask("evaluate", 0, f"print({text!r}, end='')")
    assert row[0] == text


def test_an_unknown_request_is_an_answer_not_an_end(wire: Wire) -> None:
    body = marshal.dumps(("nonsense",))
    wire.ours.sendall(len(body).to_bytes(4, "little") + body)
    assert wire.receive()[0] == "error"
    assert wire.ask("stack")


def test_no_file_of_the_inspector_takes_a_name_from_another() -> None:
    """A replay process runs all of them in one namespace."""
    shared = {"TYPE_CHECKING", "__builtins__"}
    owner: dict[str, str] = {}
    for file in _INSPECTOR:
        tree = ast.parse((Path(inspector.__file__).parent / file).read_text())
        for name in {name for statement in tree.body for name in bound_by(statement)} - shared:
            assert owner.setdefault(name, file) == file, f"{name} is of {owner[name]} and of {file}"


def bound_by(statement: ast.stmt) -> list[str]:
    """The names that a statement of a module gives a value, if it is a definition or an assignment."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    if isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
