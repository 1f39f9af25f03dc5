"""`scope record --until-failure`: finds what fails rarely, keeps that run alone, and the run comes back exactly."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.record_replay.test_programs import ENVIRONMENT, FIXTURES, SCOPE, Outcome, run

RACES = {"lost_update": 1, "check_then_act": 1, "lock_order": 1, "singleton": 7}
MOST_RUNS = 1500  # the rarest takes some 100
FAILS_THIRD = """
import os, sys
number = len(os.listdir("runs"))
open(f"runs/{number}", "w").close()
print("run", number)
sys.exit(9 if number == 2 else 0)
"""


def until_failure(folder: Path, *words: str) -> Outcome:
    return run([SCOPE, "record", "-o", "kept.db", *words], folder, ENVIRONMENT)


def verify(folder: Path) -> Outcome:
    return run([SCOPE, "verify", "kept.db", "--output"], folder, ENVIRONMENT)


def verdict(done: Outcome) -> str:
    return done.stderr.decode().splitlines()[-1]


@pytest.mark.parametrize("race", RACES)
def test_chaos_finds_every_race_and_the_failure_comes_back(race: str, tmp_path: Path) -> None:
    program = str(FIXTURES.parent / "races" / f"{race}.py")
    found = until_failure(tmp_path, f"--until-failure={MOST_RUNS}", "--chaos=1", program)
    assert found.status == RACES[race], found.stderr.decode()
    told = re.fullmatch(r"scope: run ([\d,]+) \(chaos seed (\d+)\) failed: it ended .*", verdict(found))
    assert told, found.stderr.decode()
    assert int(told[1].replace(",", "")) == int(told[2])
    facts = json.loads(run([SCOPE, "info", "kept.db", "--json"], tmp_path, ENVIRONMENT).stdout)
    assert (facts["chaos"], facts["chaos_seed"]) == (True, int(told[2]))
    verified = verify(tmp_path)
    assert verified.status == 0, verified.stderr.decode()
    assert found.stdout.endswith(verified.stdout)
    assert os.listdir(tmp_path) == ["kept.db"]


def test_only_the_run_that_failed_is_kept(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "third.py").write_text(FAILS_THIRD)
    found = until_failure(tmp_path, "--until-failure", "third.py")
    assert (found.status, found.stdout) == (9, b"run 0\nrun 1\nrun 2\n")
    assert found.stderr.decode() == (
        "scope: run 3 failed: it ended with exit status 9; its trace is kept.db, "
        "open it with: scope replay kept.db\n"
    )
    assert verify(tmp_path).stdout == b"run 2\n"
    assert sorted(os.listdir(tmp_path)) == ["kept.db", "runs", "third.py"]


def test_when_none_fails_an_older_trace_stays_as_it_was(tmp_path: Path) -> None:
    assert run([SCOPE, "record", "-q", "-o", "kept.db", "-c", "print('older')"], tmp_path, ENVIRONMENT).status == 0
    before = (tmp_path / "kept.db").read_bytes()
    done = until_failure(tmp_path, "--until-failure=3", "--chaos=5", "-c", "print('fine')")
    assert (done.status, done.stdout) == (0, b"fine\n" * 3)
    assert done.stderr == b"scope: none of 3 runs failed (chaos seeds 5 to 7); no trace was kept\n"
    assert (tmp_path / "kept.db").read_bytes() == before
    assert os.listdir(tmp_path) == ["kept.db"]


def test_death_by_a_signal_is_a_failure(tmp_path: Path) -> None:
    done = until_failure(tmp_path, "--until-failure", "-c", "import os; os.abort()")
    assert done.status == 128 + signal.SIGABRT
    assert verdict(done).startswith("scope: run 1 failed: it ended by signal 6; its trace is kept.db")


def test_a_place_that_cannot_take_a_trace_is_refused_before_the_first_run(tmp_path: Path) -> None:
    (tmp_path / "kept.db").write_text("precious")
    done = until_failure(tmp_path, "--until-failure", "-c", "open('ran', 'w')")
    assert done.status == 1
    assert verdict(done).startswith("scope: kept.db: exists and is not a trace of Retroscope, so it is left as it is")
    assert os.listdir(tmp_path) == ["kept.db"]


ASLEEP = "import time\nprint('waiting', flush=True)\ntry:\n    time.sleep(100)\nexcept KeyboardInterrupt:\n    pass\n"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 0)])
def test_a_run_that_is_told_to_end_is_the_last_and_is_kept(number: signal.Signals, status: int, tmp_path: Path) -> None:
    """A program that hangs now and then: interrupting it is how one gets at its trace."""
    (tmp_path / "asleep.py").write_text(ASLEEP)
    command = [SCOPE, "record", "--until-failure", "-o", "kept.db", "asleep.py"]
    running = subprocess.Popen(
        command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "waiting\n"
    time.sleep(0.2)  # until it sleeps
    running.send_signal(number)
    _, said = running.communicate(timeout=30)
    assert running.returncode == status, said
    how = f"by signal {number:d}" if status else "with exit status 0"
    assert f"scope: run 1 was told to end, and ended {how}; its trace is kept.db" in said
    assert verify(tmp_path).status == 0


