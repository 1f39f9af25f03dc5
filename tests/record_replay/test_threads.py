"""Programs with several threads: the recorded order comes back; where it could not be recorded, that is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.record_replay.test_programs import ENVIRONMENT, FIXTURES, SCOPE, Outcome, run, without_closing_line


def record(program: str, trace: Path, folder: Path, *options: str) -> Outcome:
    return run([SCOPE, "record", "-q", *options, "-o", str(trace), str(FIXTURES / program)], folder, ENVIRONMENT)


def verify(trace: Path, folder: Path) -> Outcome:
    return run([SCOPE, "verify", str(trace), "--output"], folder, ENVIRONMENT)


@pytest.mark.parametrize("attempt", range(5))
def test_a_race_is_lost_again_in_the_same_way(attempt: int, tmp_path: Path) -> None:
    trace = tmp_path / "race.db"
    recorded = record("threads_race.py", trace, tmp_path, "--chaos")
    assert recorded.status == 0, recorded.stderr.decode()
    verified = verify(trace, tmp_path)
    assert verified.status == 0, verified.stderr.decode()
    assert without_closing_line(verified).stdout == recorded.stdout


def test_chaos_finds_the_race(tmp_path: Path) -> None:
    recorded = record("threads_race.py", tmp_path / "race.db", tmp_path, "--chaos")
    kept, whole = (int(word) for word in recorded.stdout.split() if word.isdigit())
    assert kept < whole, "no update was lost although threads were preempted at random"


def test_a_thread_that_waits_unseen_neither_hangs_the_program_nor_is_replayed_wrongly(tmp_path: Path) -> None:
    trace = tmp_path / "unseen.db"
    recorded = record("threads_unseen.py", trace, tmp_path)
    assert recorded.status == 0
    assert recorded.stdout == b"read 5 b'hello'\ndone\n"
    verified = verify(trace, tmp_path)
    assert verified.status == 3
    assert b"the order of threads is not recorded" in verified.stderr
