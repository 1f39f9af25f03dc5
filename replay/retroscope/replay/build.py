"""Was a trace recorded by this build? A replay runs the recorder's code again: another build may replay otherwise."""

from __future__ import annotations

import importlib.util
import os
import sys
from functools import cache

from retroscope.recorder import _core
from retroscope.replay.moments import ReplayError
from retroscope.replay.recording import Recording
from retroscope.trace.build import build_facts


def other_build(recording: Recording) -> str:
    """What differs from the build that recorded, as a phrase after "recorded by"; empty: nothing, or nobody knows."""
    recorded = recording.meta.get("build")
    if not isinstance(recorded, dict):
        return ""
    here = _here()
    parts = []
    if any(recorded.get(name) != here[name] for name in ("core", "recorder")):
        then, now = recording.meta.get("retroscope"), _version()
        numbers = f" ({then}; this is {now})" if then != now else ""
        parts.append(f"another build of Retroscope{numbers}")
    build = recorded.get("interpreter")
    if _is_ours(recording.start.executable) and build and here["interpreter"] and build != here["interpreter"]:
        parts.append(f"another build of Python {recording.meta.get('python')}")
    return " and ".join(parts)


def build_warning(recording: Recording) -> str:
    """The same as a sentence for who opens the trace."""
    if recording.unborn is not None:
        return ""
    other = other_build(recording)
    return other and (
        f"{recording.path} was recorded by {other}; should its replay differ from the recording, which is always said, "
        "replay it with that build, or record it again"
    )


@cache
def _here() -> dict[str, str]:
    found = importlib.util.find_spec("retroscope.recorder.startup")
    if found is None or found.origin is None:
        raise ReplayError("this installation of Retroscope has no recorder/startup.py; install it again")
    return build_facts(os.path.dirname(found.origin), _core.sources, _core.interpreter_build())


def _version() -> str:
    import retroscope

    return getattr(retroscope, "__version__", "development")


def _is_ours(executable: str) -> bool:
    """Is it the Python that runs this?"""
    try:
        return os.path.samefile(executable, sys.executable)
    except OSError:
        return False
