"""Our own imports in the user's interpreter leave nothing there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from retroscope.recorder.importer import Importer


def test_what_is_imported_unseen_leaves_neither_modules_nor_places_to_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "ours"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "part.py").write_text("value = 3\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.path_importer_cache)
    importer = Importer(str(tmp_path))
    imported = importer.unseen(importer.real_import, "ours.part")
    assert imported.part.value == 3
    assert "ours" not in sys.modules
    assert "ours.part" not in sys.modules
    assert set(sys.path_importer_cache) == before
