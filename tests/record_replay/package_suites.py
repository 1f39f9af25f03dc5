"""Records and replays the test suites of well-known packages, and says which come back exactly.

    python tests/record_replay/package_suites.py --install
    python tests/record_replay/package_suites.py [--python PYTHON …] [--suites requests …] [--results FOLDER]

Each suite runs three times from its source distribution: `pytest` under plain Python, under `scope record`, and in
`scope verify`; what is exact is said in stdlib_modules.py. A suite is tests that plain Python runs here, without a
network: what package_suites.toml leaves out, it leaves out for plain Python too. A PYTHON is an interpreter of a
virtual environment with Retroscope installed; `--install` puts what the suites need into it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path

from stdlib_modules import Ran, Verdict, fresh, judge_recording, judge_replay, outcomes, row, run, version_of

HERE = Path(__file__).parent
SOURCES = HERE.parent.parent / "build" / "suites"
LONGEST_DETAIL = 400


@dataclass(frozen=True)
class Suite:
    """One entry of package_suites.toml: `version` is that of the source distribution, `tests` are pytest's arguments;
    `program` stands for all of them where it is not pytest that runs. `needs` are requirements besides the package
    itself, `plugins` the modules of pytest's plug-ins that these tests use: no other is loaded, as neighbours have
    other ones."""

    name: str
    version: str
    tests: list[str] = field(default_factory=list)
    program: list[str] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)
    plugins: list[str] = field(default_factory=list)

    @property
    def requirement(self) -> str:
        return f"{self.name}=={self.version}"

    def command(self, report: Path) -> list[str]:
        """What follows `python`."""
        if self.program:
            return self.program
        plugins = [word for plugin in self.plugins for word in ("-p", plugin)]
        return ["-m", "pytest", "-p", "no:cacheprovider", *plugins, f"--junit-xml={report}", *self.tests]


def suites() -> list[Suite]:
    table = tomllib.loads((HERE / "package_suites.toml").read_text())
    return [Suite(name, **entry) for name, entry in table.items()]


def source_of(suite: Suite) -> Path:
    """The source distribution, which pip has fetched once."""
    found = sorted(SOURCES.glob(f"{suite.name.replace('-', '_')}-{suite.version}.tar.gz"))
    if not found:
        sys.exit(f"{SOURCES} has no source distribution of {suite.requirement}: run this with --install first")
    return found[0]


def install(python: str, chosen: list[Suite]) -> None:
    """Fetches the source distributions and installs the packages with what their tests need."""
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    SOURCES.mkdir(parents=True, exist_ok=True)
    backends = ["setuptools", "setuptools-scm", "flit_core", "hatchling", "hatch-vcs", "hatch-fancy-pypi-readme",
                "poetry-core", "wheel"]  # fmt: skip
    needs = sorted({need for suite in chosen for need in (suite.requirement, *suite.needs)})
    subprocess.run([*pip, "install", *backends, "pytest", *needs], check=True)
    for suite in chosen:
        if not list(SOURCES.glob(f"{suite.name.replace('-', '_')}-{suite.version}.tar.gz")):
            fetch = ["download", "--no-deps", "--no-binary", ":all:", "--dest", str(SOURCES), suite.requirement]
            subprocess.run([*pip, *fetch], check=True)


def unpacked(suite: Suite, home: Path) -> Path:
    """The source distribution, unpacked anew at the same place each time: tests print paths, and write files."""
    work = fresh(home / "work")
    with tarfile.open(source_of(suite)) as archive:
        archive.extractall(work, filter="data")
    return next(folder for folder in work.iterdir() if folder.is_dir())


def examine(python: str, suite: Suite, seconds: float, keep: Path | None) -> Verdict:
    """Plain, recorded, replayed."""
    with tempfile.TemporaryDirectory(prefix="suite-") as name:
        home = Path(name)
        trace, report = home / "trace.db", home / "report.xml"
        program = suite.command(report)
        scope = str(Path(python).parent / "scope")
        extra = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        plain = run([python, *program], unpacked(suite, home), seconds, extra)
        expected = outcomes(report)
        if plain.status not in (0, 1) or (not expected and not suite.program):
            return Verdict(suite.name, "plain", last_line(plain))
        recorded = run([scope, "record", "-q", "-o", str(trace), *program], unpacked(suite, home), seconds, extra)
        spent = {"plain": plain.seconds, "recorded": recorded.seconds}
        verdict = Verdict(suite.name, "exact", tests=len(expected), seconds=spent)
        judge_recording(verdict, plain, recorded, expected, outcomes(report))
        if recorded.status is not None:
            verified = run([scope, "verify", str(trace), "--output"], fresh(home / "work"), seconds, {})
            verdict.seconds["replayed"] = verified.seconds
            judge_replay(verdict, recorded, verified)
        if keep and trace.exists() and verdict.state != "exact":
            keep.mkdir(parents=True, exist_ok=True)
            trace.rename(keep / f"{suite.name}.db")
            (keep / f"{suite.name}.txt").write_bytes(recorded.stdout + recorded.stderr)
            (keep / f"{suite.name}.plain.txt").write_bytes(plain.stdout + plain.stderr)
        return verdict


def last_line(ran: Ran) -> str:
    lines = (ran.stdout + ran.stderr).decode("utf-8", "replace").strip().splitlines() or [""]
    return lines[-1][:LONGEST_DETAIL]


def save(folder: Path, kind: str, version: str, verdict: Verdict, release: str) -> None:
    """Merges into FOLDER/KIND-VERSION.json, which tools/compatibility_packages.py reads."""
    path = folder / f"{kind}-{version}.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    known[verdict.module] = {"release": release, **asdict(verdict)}
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", nargs="+", default=[sys.executable])
    parser.add_argument("--suites", nargs="+", help="their names; default: all of package_suites.toml")
    parser.add_argument("--install", action="store_true", help="fetch and install what the suites need, run nothing")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for each of the three runs")
    parser.add_argument("--results", type=Path, help="merge the results into FOLDER/packages-VERSION.json")
    parser.add_argument("--keep", type=Path, help="keep the traces that are not exact in this folder")
    arguments = parser.parse_args()
    known = {suite.name: suite for suite in suites()}
    chosen = [known[name] for name in arguments.suites or known]
    exact = True
    for python in arguments.python:
        if arguments.install:
            install(python, chosen)
            continue
        version = version_of(python)
        for suite in chosen:
            verdict = examine(python, suite, arguments.timeout, arguments.keep)
            print(row(version, verdict), flush=True)
            exact = exact and verdict.state in ("exact", "plain")
            if arguments.results:
                save(arguments.results, "packages", version, verdict, suite.version)
    return 0 if exact else 1


if __name__ == "__main__":
    sys.exit(main())
