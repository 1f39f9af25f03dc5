"""What a line reads, by the text alone; that `why` shows it is tested at the prompt."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from retroscope.replay.reads import expressions_read

from tests.replay.conftest import SCOPE


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("total = price * count", ["price", "count"]),
        ("self.total += line.price", ["self.total", "line.price"]),
        ("box.items[n] = f(a.b['k'], key=c)", ["box.items", "n", "a.b['k']", "c"]),
        ("x = [y.z + w for y in rows if y]", ["w", "rows"]),
        ("return min(low, other.method(high))", ["low", "other", "high"]),
        ("x: int = y", ["y"]),
        ("first, *rest = pair", ["pair"]),
        ("a.b, c = d", ["a", "d"]),
        ("for item in rows[1:]: pass", ["rows"]),
        ("with open(path) as f: pass", ["path"]),
        ("if left is right: pass", ["left", "right"]),
        ("while queue: pass", ["queue"]),
        ("raise Broken(reason) from cause", ["reason", "cause"]),
        ("del table[key]", ["table[key]"]),
        ("assert a, b", ["a", "b"]),
        ("x = 5", []),
        ("x = lambda: y", []),
        ("f'{a!r} {b:>{width}}'", ["a", "b", "width"]),
        ("def f(a=b): pass", []),
        ("this is no Python", []),
    ],
)
def test_what_a_line_reads(line: str, expected: list[str]) -> None:
    assert expressions_read(line + "\n", 1) == expected


def test_a_statement_of_several_lines_and_one_in_a_body() -> None:
    source = "def f(a):\n    if a:\n        x = g(\n            a,\n            b,\n        )\n"
    assert expressions_read(source, 2) == ["a"]
    assert [expressions_read(source, line) for line in (3, 5, 6)] == [["a", "b"]] * 3


PROGRAM = """\
class Cart:
    total = 0

def add(cart, price, count):
    cart.total = cart.total + price * count

cart = Cart()
prices = {"pear": 3}
count = 2
add(cart, prices["pear"], count)
done = 1
"""


def test_why_follows_a_value_to_its_causes(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    subprocess.run([SCOPE, "record", "-q", "program.py"], cwd=tmp_path, check=True)
    script = ["break program.py:11", "continue", "why cart.total", "why count"]
    words = [word for command in script for word in ("-x", command)]
    told = subprocess.run([SCOPE, "replay", *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    answers = told.stdout.splitlines()
    at = answers.index("  cart.total = 0")
    assert answers[at + 1 : at + 3] == ["  price = 3", "  count = 2"]
    assert any("10 ->" in line and "add(cart" in line for line in answers[at + 3 :]), told
    assert answers[-3].startswith("  cart = <__main__.Cart object")
    assert answers[-2:] == ["  prices['pear'] = 3", "  count = 2"], told
