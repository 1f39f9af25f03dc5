"""Writes docs/packages.md from the results of tests/record_replay/package_suites.py and benchmark_programs.py.

In: tests/record_replay/results/packages-VERSION.json and benchmarks-VERSION.json, and compatibility_packages.toml,
which people write: why something is not exact. Out: the document; with --check nothing but exit status 1 when it is
not what the results say.
"""

from __future__ import annotations

import json
import shlex
import sys
import tomllib
from pathlib import Path
from typing import Any

from generated import write_or_check

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "tests" / "record_replay" / "results"
NOTES = ROOT / "tools" / "compatibility_packages.toml"
DOCUMENT = ROOT / "docs" / "packages.md"

Results = dict[str, dict[str, Any]]

INTRODUCTION = """\
# Packages, benchmarks and other tools

Programs that nobody wrote for us, run under plain Python, then under `scope record`, then in `scope verify`. One is
*exact* when the recorded run has the same tests with the same outcomes and exit status as the plain one, and the replay
ends where the recording ended, with its stdout and stderr byte for byte. The pages are made by `make packages` from
stored results; `tests/record_replay/package_suites.py` and `benchmark_programs.py` make these.
"""


def results(kind: str) -> dict[str, Results]:
    """By version, as 3.12."""
    found = {path.stem.rpartition("-")[2]: json.loads(path.read_text()) for path in RESULTS.glob(f"{kind}-3.*.json")}
    return {version: found[version] for version in sorted(found, key=lambda text: int(text.partition(".")[2]))}


def seconds(facts: dict[str, Any]) -> str:
    """Plain, recorded and replayed."""
    spent = facts["seconds"]
    return " / ".join(f"{spent[name]:.1f}" if name in spent else "-" for name in ("plain", "recorded", "replayed"))


def packages(found: dict[str, Results], notes: dict[str, str], arguments: dict[str, str]) -> list[str]:
    lines = ["", "## Test suites of packages", "", "| package | Python | tests | result | inputs | ticks | seconds |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    names = sorted({name for part in found.values() for name in part})
    for name in names:
        for version, part in found.items():
            if name not in part or part[name]["state"] == "plain":
                continue
            facts = part[name]
            tests = facts["tests"] or "-"
            lines.append(
                f"| {name} {facts['release']} | {version} | {tests} | {facts['state']} | {facts['inputs']:,} | "
                f"{facts['ticks']:,} | {seconds(facts)} |"
            )
    lines += ["", "Seconds: plain / recorded / replayed, on a machine that did other work besides.", ""]
    lines += ["What ran, from the package's source distribution:", ""]
    lines += [f"- {name}: `{arguments[name]}`" for name in names if name in arguments]
    return lines + not_exact(found, notes)


def benchmarks(found: dict[str, Results], notes: dict[str, str]) -> list[str]:
    releases = sorted({facts["release"] for part in found.values() for facts in part.values()})
    lines = ["", f"## The programs of pyperformance {', '.join(releases)}", ""]
    lines += ["Each once, as the worker of pyperf runs it, in one process.", ""]
    lines += ["| Python | plain Python runs | exact | inputs | ticks |", "| --- | --- | --- | --- | --- |"]
    for version, part in found.items():
        ran = [facts for facts in part.values() if facts["state"] != "plain"]
        exact = [facts for facts in ran if facts["state"] == "exact"]
        inputs, ticks = (sum(facts[name] for facts in exact) for name in ("inputs", "ticks"))
        lines.append(f"| {version} | {len(ran)} | {len(exact)} | {inputs:,} | {ticks:,} |")
    for version, part in found.items():
        names = sorted(name for name, facts in part.items() if facts["state"] == "exact")
        left = sorted(name for name, facts in part.items() if facts["state"] == "plain")
        lines += ["", f"Exact on {version}: {', '.join(names)}."]
        if left:
            lines += ["", f"Not run, because plain Python {version} did not run them where this was measured "
                      f"(missing or newer requirements): {', '.join(left)}."]  # fmt: skip
    return lines + not_exact(found, notes)


def not_exact(found: dict[str, Results], notes: dict[str, str]) -> list[str]:
    rows = [
        f"| {name} | {version} | {facts['state']} | {notes.get(name, '')} |"
        for version, part in found.items()
        for name, facts in sorted(part.items())
        if facts["state"] not in ("exact", "plain")
    ]
    head = ["", "Not exact:", "", "| name | Python | what happens | cause |", "| --- | --- | --- | --- |"]
    return [*head, *rows] if rows else []


def what_ran() -> dict[str, str]:
    """The arguments of each suite, as one types them."""
    table = tomllib.loads((ROOT / "tests" / "record_replay" / "package_suites.toml").read_text())
    commands = {name: entry.get("program") or ["-m", "pytest", *entry["tests"]] for name, entry in table.items()}
    return {name: shlex.join(words) for name, words in commands.items()}


def document() -> str:
    notes = tomllib.loads(NOTES.read_text())
    parts = [INTRODUCTION, notes["measured"], *packages(results("packages"), notes["packages"], what_ran())]
    parts += benchmarks(results("benchmarks"), notes["benchmarks"])
    parts += ["", notes["tools"].strip()]
    return "\n".join(parts).rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(write_or_check(DOCUMENT, document(), sys.argv[1:]))
