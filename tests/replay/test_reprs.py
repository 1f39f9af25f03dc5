"""What a value's own repr says at a moment of a recording, and what is shown where it asks for something outside."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from retroscope.replay.timeline import Timeline

from tests.replay.conftest import SCOPE

PROGRAM = """\
import collections
import copy
import dataclasses
import pprint
import reprlib
import threading

@dataclasses.dataclass
class Order:
    number: int
    lines: list

class Chain:
    @reprlib.recursive_repr()
    def __repr__(self):
        return f"Chain({self.next!r})"

class Located:
    def __repr__(self):
        return f"Located at {id(self)}"

order = Order(7, ["x"])
order.lines.append(order)
chain = Chain()
chain.next = [chain]
ordered = collections.OrderedDict(order=order)
located = Located()
here = id(located)
"""


@pytest.fixture(scope="module")
def timeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Timeline]:
    folder = tmp_path_factory.mktemp("reprs")
    (folder / "program.py").write_text(PROGRAM)
    subprocess.run([SCOPE, "record", "-q", "-o", str(folder / "t.db"), "program.py"], cwd=folder, check=True)
    with Timeline.open(folder / "t.db") as timeline:
        timeline.goto_end()
        timeline.reverse_step()
        yield timeline


@pytest.mark.parametrize(
    "expression", ["order", "chain", "ordered", "pprint.pformat(order)", "copy.deepcopy(order)", "[chain, order]"]
)
def test_guards_against_a_repr_within_itself_work(timeline: Timeline, expression: str) -> None:
    space: dict[str, object] = {"__name__": "__main__"}
    exec(PROGRAM, space)
    assert timeline.evaluate(expression).text == repr(eval(expression, space))


def test_a_repr_that_shows_an_id_is_not_run_to_its_end(timeline: Timeline) -> None:
    value = timeline.evaluate("located")
    assert (value.text, value.failed) == ("<__main__.Located object>", False)


def test_an_id_is_not_told(timeline: Timeline) -> None:
    """The recording had another."""
    value = timeline.evaluate("id(located)")
    assert value.failed
    assert "reaches outside the recording" in value.text
