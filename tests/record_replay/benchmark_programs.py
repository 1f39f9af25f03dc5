"""Records and replays the programs of the benchmark suite pyperformance, and says which come back exactly.

    python tests/record_replay/benchmark_programs.py [--python PYTHON …] [--programs nbody …] [--results FOLDER]

Each runs once, as pyperf's worker does, in one process: under plain Python, under `scope record` and in `scope verify`;
what is exact is said in stdlib_modules.py, but that what it prints is a time and so never the same twice. A PYTHON is
an interpreter with Retroscope, pyperformance and what the programs need installed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from package_suites import last_line, save
from stdlib_modules import Verdict, fresh, judge_recording, judge_replay, row, run, version_of

ONCE = ["--worker", "-l1", "-n1", "-w0", "--worker-task=0"]

# The program's folder, where it is not its name, and the arguments that it wants.
VARIANTS = {
    "argparse_subparsers": ("argparse", "subparsers"),
    "argparse_many_optionals": ("argparse", "many_optionals"),
    **{f"async_tree_{kind}": ("async_tree", kind) for kind in ("none", "io", "memoization", "cpu_io_mixed")},
    "async_tree_io_tg": ("async_tree", "io", "--task-groups"),
    "async_tree_eager_io": ("async_tree", "eager_io"),
    "asyncio_tcp_ssl": ("asyncio_tcp", "--ssl"),
    **{kind: ("pickle", kind) for kind in ("unpickle", "pickle_dict", "pickle_list", "unpickle_list")},
    "pickle": ("pickle", "pickle"),
    "pickle_pure_python": ("pickle", "--pure-python", "pickle"),
    "networkx_shortest_path": ("networkx", "shortest_path"),
    **{f"sqlglot_v2_{kind}": ("sqlglot_v2", kind) for kind in ("parse", "transpile", "optimize", "normalize")},
}
NAMED_OTHERWISE = ("argparse", "async_tree", "networkx", "sqlglot_v2")


def folder_of(python: str) -> Path:
    """Where this interpreter's pyperformance keeps the programs."""
    command = [python, "-c", "import pyperformance; print(pyperformance.DATA_DIR)"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return Path(found) / "benchmarks"


def release_of(python: str) -> str:
    command = [python, "-c", "import pyperformance; print(pyperformance.__version__)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def programs(benchmarks: Path) -> list[str]:
    """Every program of the suite, and the variants of those that have some."""
    plain = {folder.name.removeprefix("bm_") for folder in benchmarks.glob("bm_*")}
    return sorted((plain | set(VARIANTS)) - set(NAMED_OTHERWISE))


def examine(python: str, name: str, seconds: float, keep: Path | None) -> Verdict:
    """Plain, recorded, replayed."""
    source, *arguments = VARIANTS.get(name, (name,))
    with tempfile.TemporaryDirectory(prefix="benchmark-") as temporary:
        home = Path(temporary)
        trace, work = home / "trace.db", home / "work"
        program = ["run_benchmark.py", *ONCE, *arguments]
        scope = str(Path(python).parent / "scope")

        def prepare() -> Path:
            shutil.copytree(folder_of(python) / f"bm_{source}", fresh(work), dirs_exist_ok=True)
            return work

        plain = run([python, *program], prepare(), seconds)
        if plain.status != 0:
            return Verdict(name, "plain", last_line(plain))
        recorded = run([scope, "record", "-q", "-o", str(trace), *program], prepare(), seconds)
        verdict = Verdict(name, "exact", seconds={"plain": plain.seconds, "recorded": recorded.seconds})
        judge_recording(verdict, plain, recorded, {}, {})
        if recorded.status is not None:
            verified = run([scope, "verify", str(trace), "--output"], fresh(work), seconds)
            verdict.seconds["replayed"] = verified.seconds
            judge_replay(verdict, recorded, verified)
        if keep and trace.exists() and verdict.state != "exact":
            keep.mkdir(parents=True, exist_ok=True)
            trace.rename(keep / f"{name}.db")
            (keep / f"{name}.txt").write_bytes(recorded.stdout + recorded.stderr)
        return verdict


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", nargs="+", default=[sys.executable])
    parser.add_argument("--programs", nargs="+", help="their names; default: all")
    parser.add_argument("--timeout", type=float, default=120, help="seconds for each of the three runs")
    parser.add_argument("--results", type=Path, help="merge the results into FOLDER/benchmarks-VERSION.json")
    parser.add_argument("--keep", type=Path, help="keep the traces that are not exact in this folder")
    arguments = parser.parse_args()
    exact = True
    for python in arguments.python:
        version, release = version_of(python), release_of(python)
        for name in arguments.programs or programs(folder_of(python)):
            verdict = examine(python, name, arguments.timeout, arguments.keep)
            print(row(version, verdict), flush=True)
            exact = exact and verdict.state in ("exact", "plain")
            if arguments.results:
                save(arguments.results, "benchmarks", version, verdict, release)
    return 0 if exact else 1


if __name__ == "__main__":
    sys.exit(main())
