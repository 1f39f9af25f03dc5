"""Writes docs/compatibility.md from the results that sweeps of CPython's own test modules left.

In: tests/record_replay/results/VERSION.json, and tools/compatibility_causes.toml, which people write: why a module is
not exact. Out: the document; with --check nothing but exit status 1 when it is not what the results say.
"""

from __future__ import annotations

import json
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import Any

from generated import write_or_check

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "tests" / "record_replay" / "results"
CAUSES = ROOT / "tools" / "compatibility_causes.toml"
DOCUMENT = ROOT / "docs" / "compatibility.md"

NOT_MEASURED = ("plain", "skipped")
MEANING = {
    "exact": "recorded as plain Python runs it, replayed to the byte",
    "outcome": "a test ends otherwise while it is recorded",
    "diverges": "the replay stops, and says where and why",
    "output": "the replay prints something else than the recorded run",
    "time": "did not end within its time",
}

INTRODUCTION = """\
# Compatibility

CPython's own test modules as programs: each runs under plain Python, then under `scope record`, then in `scope verify`.
It is *exact* when the recorded run has the same tests with the same outcomes and exit status as the plain one, and the
replay ends where the recording ended, with its stdout and stderr byte for byte. What plain Python itself fails or skips
where the sweep was made is not counted. Modules that need other machines, a display, a compiler or very long are left
out (`LEFT_OUT` in the script).

What the tests' own Python processes do is recorded and replayed too. All rows were made since that is so: those of 3.12
and 3.13 anew in one sweep each, and what that found at fault again after it was mended, which the commits tell.

The 3.11 and the 3.12 that were measured come without the modules `test_multiprocessing_fork`, `_spawn` and
`_forkserver`. On 3.11 the classes of `_test_multiprocessing` were run one by one, but for that of thread pools, which
plain Python did not always end: 68 of 69 exact. The other writes through one map of a shared memory and reads through
another of the same process; since then replay has one memory for both.
"""


def version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def load() -> dict[str, dict[str, Any]]:
    """The stored results by version, as 3.12."""
    found = {path.stem: json.loads(path.read_text()) for path in RESULTS.glob("3.*.json")}
    return {version: found[version] for version in sorted(found, key=version_key)}


def causes() -> dict[str, Any]:
    """Causes by module; a cause is a sentence, or a table of them by version."""
    return tomllib.loads(CAUSES.read_text())


def cause_of(known: dict[str, Any], version: str, module: str) -> str:
    """The sentence; empty when nobody has written one."""
    cause = known.get(module, "")
    return str(cause.get(version, "") if isinstance(cause, dict) else cause)


def counted(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The modules that plain Python passes."""
    return {name: facts for name, facts in result["modules"].items() if facts["state"] not in NOT_MEASURED}


def exact(result: dict[str, Any]) -> set[str]:
    return {name for name, facts in counted(result).items() if facts["state"] == "exact"}


def overview(results: dict[str, dict[str, Any]]) -> list[str]:
    lines = [
        "| Python | plain Python passes | exact | share | not exact | measured |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for result in results.values():
        measured, good = counted(result), exact(result)
        commits = sorted({facts["commit"] for facts in measured.values()})
        share = f"{100 * len(good) / len(measured):.1f} %" if measured else "-"
        lines.append(
            f"| {result['python']} | {len(measured)} | {len(good)} | {share} | {len(measured) - len(good)} | "
            f"{result['date']}, commit {', '.join(commits)} |"
        )
    return lines


def exceptions(results: dict[str, dict[str, Any]], known: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for version, result in results.items():
        rows = [(name, facts["state"]) for name, facts in counted(result).items() if facts["state"] != "exact"]
        lines += ["", f"## Not exact on {version}", "", "| module | what happens | cause |", "| --- | --- | --- |"]
        lines += [f"| {name} | {state} | {cause_of(known, version, name)} |" for name, state in rows]
    return lines


def listed(names: set[str]) -> list[str]:
    return textwrap.wrap(", ".join(sorted(name.removeprefix("test_") for name in names)) or "none", 118)


def exact_lists(results: dict[str, dict[str, Any]]) -> list[str]:
    sets = {version: exact(result) for version, result in results.items()}
    everywhere = set.intersection(*sets.values())
    lines = ["", f"## Exact on {', '.join(sets)}: {len(everywhere)} modules", "", "Each name begins with `test_`.", ""]
    lines += listed(everywhere)
    for version, names in sets.items():
        if names - everywhere:
            lines += ["", f"And on {version}, {len(names - everywhere)} more:", "", *listed(names - everywhere)]
    return lines


def left_out(results: dict[str, dict[str, Any]]) -> list[str]:
    lines = ["", "## Not counted", "", "Plain Python skips or fails these here, or did not end them in time:", ""]
    for version, result in results.items():
        names = {name for name, facts in result["modules"].items() if facts["state"] in NOT_MEASURED}
        lines += [*listed({f"test_{version}: {', '.join(sorted(n.removeprefix('test_') for n in names))}"}), ""]
    lines += ["`stdlib_modules.py` names those that a sweep leaves out: other systems, displays, the network, hours."]
    return lines


def document() -> str:
    results = load()
    meaning = ["", *(f"- *{state}*: {text}" for state, text in MEANING.items())]
    parts = [INTRODUCTION, *overview(results), *meaning, *exceptions(results, causes()), *exact_lists(results)]
    return "\n".join([*parts, *left_out(results)]).rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(write_or_check(DOCUMENT, document(), sys.argv[1:]))
