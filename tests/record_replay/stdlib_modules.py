"""Records and replays test modules of the standard library, and says which come back exactly.

    python tests/record_replay/stdlib_modules.py [--python PYTHON …] [--modules test_json …] [--results FOLDER]

docs/compatibility.md is made of the results in tests/record_replay/results: `make compatibility`.

Each module runs three times: under plain Python, under `scope record`, and in `scope verify`. It is exact when the
recorded run has the same tests with the same outcomes and the same exit status as the plain one, and the replay ends
where the recording ended, with the recorded run's stdout and stderr byte for byte. A PYTHON is an interpreter with
Retroscope installed; default: the running one.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

CLOSING = re.compile(rb"replayed ([\d,]+) ticks?, ([\d,]+) inputs?, \d+ process(?:es)?, 0 divergences\n\Z")
REMARKS = re.compile(rb"(?m)^scope: process \d+: [^\n]*\n")  # of verify, about children: what they ran is not recorded
LONGEST_DETAIL = 400


@dataclass(frozen=True)
class Ran:
    """How a command ended; status None: it was killed after its time."""

    status: int | None
    stdout: bytes
    stderr: bytes
    seconds: float


@dataclass
class Verdict:
    """What came of one module. `state` is one of exact, skipped, plain, outcome, output, diverges, time."""

    module: str
    state: str
    detail: str = ""
    tests: int = 0
    ticks: int = 0
    inputs: int = 0
    seconds: dict[str, float] = field(default_factory=dict)


STATES = {
    "exact": "recorded as plain Python runs it, replayed to the byte",
    "skipped": "plain Python skips it here",
    "plain": "plain Python fails it here, or does not end in time",
    "outcome": "a test ends otherwise while recording",
    "diverges": "the replay stops before the end",
    "output": "the replay's output is not the recorded run's",
    "time": "did not end in time",
}


def run(command: list[str], folder: Path, seconds: float, variables: dict[str, str] | None = None) -> Ran:
    """Runs it in `folder` in a process group of its own, which is killed after `seconds`."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", "TMPDIR": str(folder)}
    environment |= variables or {}
    began = time.monotonic()
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            stdout, stderr = process.communicate(timeout=seconds)
            status: int | None = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            stdout, stderr = process.communicate()
            status = None
    return Ran(status, stdout, stderr, round(time.monotonic() - began, 2))


def outcomes(report: Path) -> dict[str, str]:
    """Each test of a JUnit report and how it ended: ok, failure, error, skipped."""
    if not report.exists():
        return {}
    ended = {}
    for case in ElementTree.parse(report).iter("testcase"):
        worst = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "ok")
        ended[case.get("name", "?")] = worst
    report.unlink()
    return ended


def differences(plain: dict[str, str], recorded: dict[str, str]) -> str:
    """The tests that ended in two ways, in one line."""
    names = sorted(set(plain) | set(recorded))
    different = [
        f"{name}: {plain.get(name, 'absent')} → {recorded.get(name, 'absent')}"
        for name in names
        if plain.get(name) != recorded.get(name)
    ]
    return "; ".join(different)


def fresh(folder: Path) -> Path:
    """The same empty folder each time: tests print paths."""
    if folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def examine(python: str, module: str, seconds: float, keep: Path | None = None, longest: float = 0) -> Verdict:
    """Plain, recorded, replayed; each within `seconds`, the plain run within `longest` when that is given."""
    with tempfile.TemporaryDirectory(prefix="stdlib-") as name:
        home = Path(name)
        trace, report = home / "trace.db", home / "report.xml"
        program = ["-m", "test", "--junit-xml", str(report), module]
        scope = str(Path(python).parent / "scope")
        plain = run([python, *program], fresh(home / "work"), longest or seconds)
        expected = outcomes(report)
        if plain.status != 0:
            lines = (plain.stdout + plain.stderr).decode("utf-8", "replace").strip().splitlines() or [""]
            skipped = any("skipped" in line for line in lines) and not any("failed" in line for line in lines)
            return Verdict(module, "skipped" if skipped else "plain", lines[-1][:LONGEST_DETAIL])
        recorded = run([scope, "record", "-q", "-o", str(trace), *program], fresh(home / "work"), seconds)
        spent = {"plain": plain.seconds, "recorded": recorded.seconds}
        verdict = Verdict(module, "exact", tests=len(expected), seconds=spent)
        judge_recording(verdict, plain, recorded, expected, outcomes(report))
        if recorded.status is not None:
            verified = run([scope, "verify", str(trace), "--output"], fresh(home / "work"), seconds)
            verdict.seconds["replayed"] = verified.seconds
            judge_replay(verdict, recorded, verified)
        if keep and trace.exists() and verdict.state != "exact":
            shutil.copy(trace, keep / f"{module}.db")
            (keep / f"{module}.txt").write_bytes(recorded.stdout + recorded.stderr)
        return verdict


def judge_recording(verdict: Verdict, plain: Ran, recorded: Ran, expected: dict[str, str], got: dict[str, str]) -> None:
    """Sets the state when the recorded run did something else than the plain one."""
    if recorded.status is None:
        verdict.state, verdict.detail = "time", "recording"
    elif recorded.status != plain.status or got != expected:
        verdict.state = "outcome"
        verdict.detail = (differences(expected, got) or f"exit status {recorded.status}")[:LONGEST_DETAIL]


def judge_replay(verdict: Verdict, recorded: Ran, verified: Ran) -> None:
    """Sets the state when the replay is not exact; a difference while recording is told first."""
    closing = CLOSING.search(verified.stderr)
    state, detail = "", ""
    if verified.status is None:
        state, detail = "time", "replaying"
    elif verified.status != 0 or not closing:
        state, detail = "diverges", verified.stderr.decode("utf-8", "replace").strip()
    else:
        verdict.ticks, verdict.inputs = (int(number.replace(b",", b"")) for number in closing.groups())
        stderr = REMARKS.sub(b"", CLOSING.sub(b"", verified.stderr))
        if verified.stdout != recorded.stdout or stderr != recorded.stderr:
            state, detail = "output", "stdout" if verified.stdout != recorded.stdout else "stderr"
    if state:
        parts = (verdict.detail, f"{state}: {detail}" if verdict.detail else detail)
        verdict.detail = "; and ".join(part for part in parts if part)
        verdict.state = state if verdict.state == "exact" else verdict.state
        verdict.detail = verdict.detail[: 3 * LONGEST_DETAIL]


def version_of(python: str) -> str:
    """As 3.12."""
    command = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def row(version: str, verdict: Verdict) -> str:
    """One line of the table on the terminal."""
    times = " ".join(f"{verdict.seconds.get(name, 0):6.1f}" for name in ("plain", "recorded", "replayed"))
    detail = verdict.detail.replace("\n", " | ")
    return f"{version:5} {verdict.module:28} {verdict.state:9} {times} {verdict.inputs:9} {verdict.ticks:11} {detail}"


# Left out of a sweep of everything: no output of their own, another system, a display, the network, or hours.
LEFT_OUT = """
    test_bigaddrspace test_bigmem test_cext test_cppext test_crashers test_devpoll test_distutils test_embed
    test_ensurepip test_freeze test_gdb test_idle test_kqueue test_largefile test_launcher test_lib2to3 test_msilib
    test_peg_generator test_regrtest test_smtpnet test_startfile test_tix test_tkinter test_tools test_ttk
    test_ttk_textonly test_urllib2net test_urllibnet test_winconsoleio test_winreg test_winsound test_wmi
    test_xmlrpc_net test_zipfile64
"""

# Their modules are run one by one.
PACKAGES = """
    test_asyncio test_concurrent_futures test_multiprocessing_fork test_multiprocessing_forkserver
    test_multiprocessing_spawn
"""


def every_module(python: str) -> list[str]:
    """The test modules that come with this interpreter, but those left out."""
    command = [python, "-c", "import test; print(test.__path__[0])"]
    folder = Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    found = {path.stem for path in folder.glob("test_*") if path.is_dir() or path.suffix == ".py"}
    packages = {name for name in PACKAGES.split() if (folder / name).is_dir()}
    parts = {f"{name}.{path.stem}" for name in packages for path in (folder / name).glob("test_*.py")}
    return sorted((found - packages | parts) - set(LEFT_OUT.split()))


def tree_state() -> str:
    """The commit that was measured."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short=10", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def without_paths(detail: str) -> str:
    """The beginning of what went wrong, with the last parts of paths only."""
    return re.sub(r"(?:/[^\s/'\"]+)+/(?=[^\s/])", "…/", detail.partition("\n")[0])[:240]


def save(folder: Path, python: str, verdicts: list[Verdict]) -> None:
    """Merges into FOLDER/VERSION.json: a sweep of some modules leaves the others' results."""
    path = folder / f"{version_of(python)}.json"
    stored = json.loads(path.read_text()) if path.exists() else {"modules": {}}
    command = [python, "-c", "import platform as p; print(p.python_version(), p.system(), p.machine())"]
    stored["python"] = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    stored["date"] = time.strftime("%Y-%m-%d", time.gmtime())
    for verdict in verdicts:
        facts = asdict(verdict) | {"detail": without_paths(verdict.detail), "commit": tree_state()}
        stored["modules"][facts.pop("module")] = facts
    stored["modules"] = dict(sorted(stored["modules"].items()))
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(stored, indent=1) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", nargs="+", default=[sys.executable])
    parser.add_argument("--modules", nargs="+", help="default: all that come with the interpreter, but a few")
    parser.add_argument("--timeout", type=float, default=120, help="seconds for each of the three runs")
    parser.add_argument("--plain-timeout", type=float, default=0, help="of the plain run; default: the same")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--results", type=Path, help="merge the results into FOLDER/VERSION.json")
    parser.add_argument("--keep", type=Path, help="keep the traces that are not exact in this folder")
    arguments = parser.parse_args()
    exact = True
    for python in arguments.python:
        version = version_of(python)
        modules = arguments.modules or every_module(python)
        verdicts = []
        with ThreadPoolExecutor(arguments.jobs) as pool:
            limits = (arguments.timeout, arguments.keep, arguments.plain_timeout)
            jobs = [pool.submit(examine, python, name, *limits) for name in modules]
            for job in jobs:
                verdicts.append(job.result())
                print(row(version, verdicts[-1]), flush=True)
                if arguments.results:
                    save(arguments.results, python, verdicts[-1:])
        exact = exact and all(verdict.state in ("exact", "skipped", "plain") for verdict in verdicts)
    return 0 if exact else 1


if __name__ == "__main__":
    sys.exit(main())
