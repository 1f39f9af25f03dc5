"""Arrays of numpy, tables of pandas, deques, mapping proxies and dataclasses in the variables of a recording."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from retroscope.replay import inspector_values
from retroscope.replay.timeline import Timeline, Value

from tests.replay.conftest import SCOPE

PROGRAM = """\
import collections
import dataclasses
import types
import numpy
import pandas

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
class Line(collections.deque):
    def __iter__(self):
        raise RuntimeError("code of the program's own was run")

waiting = Line([order, 2, 3], maxlen=3)
waiting.open = True
fixed = types.MappingProxyType({"a": [1], 2: None})
other = types.MappingProxyType(collections.UserDict(a=1))
table = pandas.DataFrame({"price": [1.5, 2.5, 4.0], "name": ["x", "y", "z"]}, index=[10, 20, 30])
prices = table["price"]

class Derived(pandas.Series):
    def __len__(self):
        raise RuntimeError("code of the program's own was run")

derived = Derived([1, 2])
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


def rows(values: tuple[Timeline, dict[str, Value]], name: str) -> dict[str, str]:
    timeline, shown = values
    return {row.name: row.text for row in timeline.expand(shown[name].reference)}


def test_what_keeps_items_elsewhere_shows_them(values: tuple[Timeline, dict[str, Value]]) -> None:
    timeline, shown = values
    assert shown["waiting"].text == "__main__.Line([__main__.Order(number=7, lines=['x', …]), 2, 3], maxlen=3)"
    assert (shown["waiting"].named, shown["waiting"].indexed) == (2, 3)
    assert rows(values, "waiting")["open"] == "True" and rows(values, "waiting")["[1]"] == "2"
    assert [row.text for row in timeline.expand(shown["waiting"].reference, 3, 2)] == ["2", "3"]
    assert shown["fixed"].text == "mappingproxy({'a': [1], 2: None})"
    assert rows(values, "fixed") == {"['a']": "[1]", "[2]": "None"}
    assert shown["other"].text == "<mappingproxy of 1>"


def test_tables_of_pandas(values: tuple[Timeline, dict[str, Value]]) -> None:
    timeline, shown = values
    assert shown["table"].text == "pandas.DataFrame(['price', 'name'], shape=(3, 2))"
    columns = timeline.expand(shown["table"].reference)
    assert [row.name for row in columns] == ["shape", "columns", "index", "['price']", "['name']"]
    assert columns[3].text == "pandas.Series([1.5, 2.5, 4.0], dtype='float64', name='price')"
    assert {row.name: row.text for row in timeline.expand(columns[3].reference, 3)} == {
        "[10]": "1.5", "[20]": "2.5", "[30]": "4.0",
    }  # fmt: skip
    assert shown["prices"].text == columns[3].text
    assert timeline.expand(shown["prices"].reference, 4, 1)[0].expression == "prices.iloc[1]"
    assert shown["derived"].text == "<__main__.Derived object>"


@pytest.mark.parametrize(
    "many", [list(range(300_000)), dict.fromkeys(range(300_000)), set(range(300_000)), tuple(range(300_000))]
)
def test_a_page_far_behind_costs_what_it_shows(many: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered = []
    render = inspector_values.render
    monkeypatch.setattr(inspector_values, "render", lambda value, *more: rendered.append(value) or render(value, *more))
    shelf = inspector_values.Shelf()
    reference = shelf.put(many, "many")
    page = shelf.children(reference, 250_000, 20)
    assert [row[0] for row in page] == [f"[{number}]" for number in range(250_000, 250_020)]
    assert len(rendered) <= 40


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
