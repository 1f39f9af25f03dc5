"""Source code as it was when the program ran.

A file on disk is shown only when it still says what was recorded; otherwise the client is given the recorded text,
under a name that says so.
"""

from __future__ import annotations

import io
import os
import tokenize
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from retroscope.dap_adapter.arguments import Arguments, integer
from retroscope.dap_adapter.failure import RequestFailed
from retroscope.dap_adapter.session import Body, Handler, Session

Source = dict[str, Any]
"""The protocol's `Source`."""


class Sources:
    """Source references are numbers of recorded paths, valid for the whole session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._numbers: dict[str, int] = {}
        self._paths: dict[int, str] = {}
        self._compared: dict[str, tuple[tuple[int, int] | None, str]] = {}
        self._by_real_path: dict[str, str] | None = None

    def requests(self) -> Mapping[str, Handler]:
        return {"source": self._source, "loadedSources": self._loaded_sources}

    def describe(self, path: str) -> Source:
        """The `Source` to send for a recorded path."""
        name = os.path.basename(path) or path
        state = self._state(path)
        if state == "same":
            return {"name": name, "path": path}
        if state == "nowhere":  # frozen modules and code made by exec: a name is all there is
            return {"name": path, "presentationHint": "deemphasize"}
        return {
            "name": f"{name} (as recorded)",
            "path": path,
            "sourceReference": self._number(path),
            "origin": f"from the recording: the file on disk {state}",
        }

    def recorded_path(self, source: Arguments) -> str:
        """The path under which the recording knows what a client calls `source`."""
        reference = source.get("sourceReference")
        if isinstance(reference, int) and reference in self._paths:
            return self._paths[reference]
        path = source.get("path")
        if not isinstance(path, str) or not path:
            raise RequestFailed("this source has neither a path nor a reference from this session")
        path = _from_uri(path) if self._session.client.get("pathFormat") == "uri" else path
        if path in self._session.timeline.source_paths():
            return path
        return self._real_paths().get(os.path.realpath(path), path)

    def _source(self, arguments: Arguments) -> Body:
        source = arguments.get("source")
        reference = integer(arguments, "sourceReference", 0)
        if isinstance(source, dict) and (source.get("sourceReference") or not reference):
            path = self.recorded_path(source)
        elif reference in self._paths:
            path = self._paths[reference]
        else:
            raise RequestFailed(f"source reference {reference} is not of this session")
        recorded = self._session.timeline.source(path)
        if recorded is None:
            raise RequestFailed(f"the source of {path} was not recorded")
        return {"content": recorded, "mimeType": "text/x-python"}

    def _loaded_sources(self, _arguments: Arguments) -> Body:
        return {"sources": [self.describe(path) for path in sorted(self._session.timeline.source_paths())]}

    def _number(self, path: str) -> int:
        number = self._numbers.get(path)
        if number is None:
            number = self._numbers[path] = len(self._numbers) + 1
            self._paths[number] = path
        return number

    def _real_paths(self) -> dict[str, str]:
        if self._by_real_path is None:
            paths = self._session.timeline.source_paths()
            self._by_real_path = {os.path.realpath(path): path for path in paths}
        return self._by_real_path

    def _state(self, path: str) -> str:
        """Returns "same", "nowhere", or how the file differs from the recording; looked at anew when it changes."""
        stamp = _stamp(path)
        known = self._compared.get(path)
        if known is None or known[0] != stamp:
            known = self._compared[path] = (stamp, self._compare(path, stamp is not None))
        return known[1]

    def _compare(self, path: str, on_disk: bool) -> str:
        recorded = self._session.timeline.source(path)
        if recorded is None:
            return "same" if on_disk else "nowhere"
        if not on_disk:
            return "is gone"
        return "same" if read_python(Path(path)) == _with_unix_newlines(recorded) else "has changed"


def read_python(path: Path) -> str | None:
    """A source file's text as Python decodes it, newlines unified; None when it is not readable Python source."""
    try:
        data = path.read_bytes()
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return _with_unix_newlines(data.decode(encoding))
    except (OSError, SyntaxError, UnicodeDecodeError, LookupError):
        return None


def _with_unix_newlines(text: str) -> str:
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _stamp(path: str) -> tuple[int, int] | None:
    """What changes when a file's content does; None when there is no such file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_size


def _from_uri(uri: str) -> str:
    return unquote(urlsplit(uri).path) if uri.startswith("file:") else uri
