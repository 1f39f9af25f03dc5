"""Hashes by identity are numbers in the order of first hashing, each of one object."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCOPE = str(Path(sys.executable).parent / "scope")
DYING = """
import sys

def unfinished():
    async def numbers():
        yield 1
    numbers = numbers()
    try:
        numbers.__anext__().send(None)
    except StopIteration:
        return numbers

asked, kept, hashes = [], [], []
sys.set_asyncgen_hooks(finalizer=lambda numbers: asked.append(hash(numbers)))
for _ in range(50):
    unfinished()
    kept.append(unfinished())
    hashes.append(hash(kept[-1]))
print(len(asked), hashes == sorted(hashes))
saved = []
sys.set_asyncgen_hooks(finalizer=lambda numbers: saved.append((numbers, hash(numbers))))
for _ in range(50):
    unfinished()
print(len(saved), all(hash(numbers) == known for numbers, known in saved))
"""


ORDER = """
class Thing:
    pass
print(hash(Thing()), [kind.__name__ for kind in {int, str, float, bytes, dict, list, set, frozenset, bool}])
"""


def run(*command: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)], cwd=cwd, env={**os.environ, **variables}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def test_hashes_do_not_depend_on_whether_our_own_code_was_compiled_before(tmp_path: Path) -> None:
    """As in the first recording after an installation that compiles nothing."""
    traces = [tmp_path / f"{name}.db" for name in ("compiles", "leaves", "finds")]
    variables = [{"PYTHONDONTWRITEBYTECODE": "1"}, {"PYTHONDONTWRITEBYTECODE": ""}, {}]
    printed = []
    for trace, more in zip(traces, variables, strict=True):
        more["PYTHONPYCACHEPREFIX"] = str(tmp_path / "bytecode")
        printed.append(run(SCOPE, "record", "-q", "-o", trace, "-c", ORDER, cwd=tmp_path, **more).stdout)
    assert printed[0].count("\n") == 1
    assert printed == printed[:1] * 3
    for trace in traces:
        verified = run(SCOPE, "verify", trace, cwd=tmp_path, **variables[-1])
        assert verified.returncode == 0, verified.stderr


def test_a_hash_asked_for_while_an_object_dies_is_not_that_of_the_next_at_its_address(tmp_path: Path) -> None:
    trace = tmp_path / "trace.db"
    recorded = run(SCOPE, "record", "-q", "-o", trace, "-c", DYING, cwd=tmp_path)
    assert (recorded.stdout, recorded.stderr) == ("50 True\n50 True\n", "")
    verified = run(SCOPE, "verify", trace, cwd=tmp_path)
    assert verified.returncode == 0, verified.stderr
