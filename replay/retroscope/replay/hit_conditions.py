"""Which hits of a breakpoint are meant: `>= 3`, `% 2 == 0`, `5`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

_FORM = re.compile(r"(?P<sign>==|>=|<=|=|>|<|%)?\s*(?P<number>\d+)(?:\s*==?\s*(?P<rest>\d+))?")
_COMPARE = {
    "==": operator.eq, "=": operator.eq, ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
}  # fmt: skip


def parse_hits(text: str) -> Callable[[int], bool] | None:
    """Whether the hit of a number counts; None when the text has none of the forms."""
    match = _FORM.fullmatch(text.strip())
    if match is None or (match["rest"] and match["sign"] != "%"):
        return None
    number, rest = int(match["number"]), int(match["rest"] or 0)
    if match["sign"] == "%":
        return (lambda hit: hit % number == rest) if number else None
    compare = _COMPARE[match["sign"] or "=="]
    return lambda hit: bool(compare(hit, number))
