"""Values that have taken the address of a dead one: their bytes in the place are the same, the objects are not."""

from __future__ import annotations

import pytest
from retroscope.replay.timeline import Breakpoint, Moment, StopReason, Timeline

from tests.replay.conftest import Recorded

PROGRAM = """\
class Box:
    def __init__(self):
        self.full = None
class Slim:
    __slots__ = ("a",)
def make():
    return Box()
def main(turns, new):
    o = Slim()
    o.a = new()
    first = id(o.a)
    other = 0
    for _ in turns: o.a = new()
    second = id(o.a)
    print(first == second)
    other = 1
    return other
def owners(turns):
    box = make()
    first = id(box)
    for _ in turns: box = None; box = make()
    print(first == id(box))
    return box
main([1, 2], NEW)
owners([1, 2])
"""

A = "<object object>"
SAME = "it was another one that looks the same"

NEW = {
    "object": "object",
    "instance": "Box",
    "float": "lambda: float('1.5')",
    "list": "list",
    "dict": "dict",
    "tuple": "lambda: (object(),)",
    "string": "lambda: str(10.5)",
    "integer": "lambda: int('9' * 20)",
}


@pytest.mark.parametrize("kind", sorted(NEW))
def test_the_line_that_stored_the_last_one_is_found(record_text: Recorded, kind: str) -> None:
    program, trace = record_text(PROGRAM.replace("NEW", NEW[kind]))
    with Timeline.open(trace) as timeline:
        timeline.goto_hit(Breakpoint(1, path=str(program), line=14), 1)
        timeline.last_write("o.a")
        assert timeline.stack()[-2].line == 13


def test_reborn_objects_are_noticed_in_both_directions(record_text: Recorded) -> None:
    program, trace = record_text(PROGRAM.replace("NEW", "object"))
    with Timeline.open(trace) as timeline:
        timeline.goto_hit(Breakpoint(1, path=str(program), line=13), 1)
        timeline.watch(1, "o.a")
        timeline.watch(2, "other")
        ahead = []
        while (moment := timeline.run()).reason is StopReason.BREAKPOINT:
            ahead.append((moment.breakpoints, timeline.stack()[0].line, said(moment)))
        timeline.goto_hit(Breakpoint(1, path=str(program), line=17), 1)
        back = []
        while (moment := timeline.reverse_run()).reason is StopReason.BREAKPOINT:
            back.append((moment.breakpoints, timeline.stack()[0].line, said(moment)))
        texts = list(dict.fromkeys((numbers, text) for numbers, _, text in ahead))  # 3.11 sees each turn of the loop
        assert texts[:2] == [((1,), f"o.a is {A} now, {SAME}"), ((2,), "other is 1 now, it was 0")]
        assert list(dict.fromkeys(back)) == [
            ((2,), 16, "other becomes 1 here, it was 0"),
            ((1,), 13, f"o.a becomes {A} here, {SAME}"),
            ((2,), 12, "other becomes 0 here, it had no value before"),
            ((1,), 10, f"o.a becomes {A} here, it had no value before"),
        ]


def test_an_object_at_the_place_of_a_dead_one_has_attributes_of_its_own(record_text: Recorded) -> None:
    program, trace = record_text(PROGRAM.replace("NEW", "object"))
    with Timeline.open(trace) as timeline:
        begins = timeline.goto_hit(Breakpoint(1, path=str(program), line=21), 1).tick
        timeline.goto_hit(Breakpoint(1, path=str(program), line=22), 1)
        moment = timeline.last_write("box.full")
        assert [frame.line for frame in timeline.stack()[:3]] == [3, 7, 21]
        assert moment.text.startswith("box.full becomes None here, it had no value before")
        assert moment.tick > begins + 3, "the first of the two that the line makes"


def said(moment: Moment) -> str:
    """The sentence, without the remark that other watches had no place then."""
    return str(moment.text).partition("; not watched")[0]
