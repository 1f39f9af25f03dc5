"""What is said of a trace that another build of Retroscope or of Python recorded."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import retroscope
from retroscope.cli.main import main
from retroscope.recorder import _core
from retroscope.replay.timeline import Timeline
from retroscope.trace.build import build_facts

from tests.replay.conftest import Recorder
from tests.replay.test_divergence import EXTENSION, make_extension, record


@pytest.fixture
def trace(recorded: Recorder) -> Path:
    return recorded("walked")


@pytest.fixture
def other_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on this is a build from other C sources than the one that records."""
    monkeypatch.setattr(_core, "sources", "0" * 64)
    forget_the_build(monkeypatch)


def forget_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    from retroscope.replay import build

    monkeypatch.setattr(build, "_here", build._here.__wrapped__)


@pytest.mark.parametrize("command", [["verify"], ["replay", "-x", "tick"], ["index"]])
def test_the_build_that_recorded_says_nothing(
    command: list[str], trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copy(trace, tmp_path)
    assert main([command[0], str(copy), *command[1:]]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("command", [["verify"], ["replay", "-x", "tick"], ["index"], ["export", "--jsonl", "out"]])
def test_another_build_is_told_of_once_and_replays(
    command: list[str],
    trace: Path,
    tmp_path: Path,
    other_core: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(trace, "t.db")
    assert main([command[0], "t.db", *command[1:]]) == 0
    said = capsys.readouterr().err
    assert said == (
        "scope: t.db was recorded by another build of Retroscope; should its replay differ from the recording, which "
        "is always said, replay it with that build, or record it again\n"
    )


def test_a_script_is_warned(trace: Path, other_core: None) -> None:
    with pytest.warns(UserWarning, match="another build of Retroscope") as warned, retroscope.open(trace) as opened:
        assert opened.warning == str(warned[0].message)
    assert warned[0].filename == __file__


def test_another_python_of_the_same_version_is_told_of(trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_core, "interpreter_build", lambda: "0123")
    forget_the_build(monkeypatch)
    with Timeline.open(trace) as timeline:
        assert f"was recorded by another build of Python {timeline.recording.meta['python']};" in timeline.warning


def test_a_divergence_names_the_other_build_as_a_cause(
    tmp_path: Path, other_core: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_extension(tmp_path)
    record(EXTENSION, tmp_path)
    cause = "Likely cause: it was recorded by another build of Retroscope; replay it with the one that recorded it."
    assert main(["verify"]) == 3
    assert cause in capsys.readouterr().err
    assert main(["replay", "-x", "continue"]) == 3
    assert cause in capsys.readouterr().out


def test_a_change_of_a_file_of_the_recorder_is_a_change_of_the_build(tmp_path: Path) -> None:
    (tmp_path / "boundary").mkdir()
    (tmp_path / "boundary" / "clocks.py").write_text("one")
    before = build_facts(str(tmp_path), "core", "")
    (tmp_path / "boundary" / "__pycache__").mkdir()
    (tmp_path / "boundary" / "__pycache__" / "clocks.py").write_text("made by running it")
    assert build_facts(str(tmp_path), "core", "") == before
    (tmp_path / "boundary" / "clocks.py").write_text("two")
    assert build_facts(str(tmp_path), "core", "") != before


def test_the_core_knows_its_sources() -> None:
    assert len(_core.sources) == 64
    assert all(len(word) >= 16 and int(word, 16) for word in _core.interpreter_build().split())
