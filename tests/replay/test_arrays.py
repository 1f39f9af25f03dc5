"""Arrays of numpy and dataclasses in the variables of a recording."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from retroscope.replay import inspector_values
from retroscope.replay.timeline import Timeline, Value

from tests.replay.conftest import SCOPE

PROGRAM = """\
import dataclasses
import numpy

@dataclasses.dataclass
class Order:
    number: int
    lines: list

    def __repr__(self):
        raise RuntimeError("a repr of the program's own was run")

order = Order(7, ["x"])
order.lines.append(order)
grid = numpy.arange(12).reshape(3, 4)
line = numpy.arange(5000) * 2
nothing = numpy.zeros((0, 2))
number, small = numpy.int32(4), numpy.float32(0.5)
end = 1
"""


@pytest.fixture(scope="module")
def values(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Timeline, dict[str, Value]]]:
    folder = tmp_path_factory.mktemp("arrays")
    program, trace = folder / "arrays.py", folder / "trace.db"
    program.write_text(PROGRAM)
    subprocess.run([SCOPE, "record", "-q", "-o", str(trace), str(program)], check=True)
    with Timeline.open(trace) as timeline:
        timeline.goto_end()
        timeline.reverse_step()
        scope = timeline.scopes(timeline.stack()[0].id)[0]
        yield timeline, {value.name: value for value in timeline.expand(scope.reference)}


def test_their_texts(values: tuple[Timeline, dict[str, Value]]) -> None:
    _, shown = values
    assert shown["grid"].text == "array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], shape=(3, 4), dtype='<i8')"
    assert shown["line"].text.startswith("array([0, 2, 4, 6, ") and "…], shape=(5000,)" in shown["line"].text
    assert shown["nothing"].text == "array([], shape=(0, 2), dtype='<f8')"
    assert (shown["number"].text, shown["small"].text) == ("numpy.int32(4)", "numpy.float32(0.5)")
    assert shown["order"].text == "__main__.Order(number=7, lines=['x', …])"


def test_arrays_are_paged(values: tuple[Timeline, dict[str, Value]]) -> None:
    timeline, shown = values
    line = shown["line"]
    assert (line.named, line.indexed) == (3, 5000)
    facts = timeline.expand(line.reference, 0, 3)
    assert [(fact.name, fact.text) for fact in facts] == [("shape", "(5000,)"), ("dtype", "'<i8'"), ("size", "5000")]
    page = timeline.expand(line.reference, 3 + 4000, 3)
    assert [(item.name, item.text, item.expression) for item in page] == [
        (f"[{n}]", str(2 * n), f"line[{n}]") for n in (4000, 4001, 4002)
    ]
    (row,) = timeline.expand(shown["grid"].reference, 4, 1)
    assert (row.name, row.text) == ("[1]", "array([4, 5, 6, 7], shape=(4,), dtype='<i8')")
    assert [item.text for item in timeline.expand(row.reference, 3)] == ["4", "5", "6", "7"]


def test_a_class_derived_from_an_array_is_not_asked() -> None:
    import numpy

    class Loud(numpy.ndarray):
        @property
        def shape(self) -> tuple[int, ...]:
            raise RuntimeError("code of the program was run")

    value = numpy.arange(3).view(Loud)
    assert inspector_values.render(value).endswith(".Loud object>")
    assert inspector_values.sizes(value)[1] == 0
