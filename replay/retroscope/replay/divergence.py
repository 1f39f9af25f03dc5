"""What may have made a replay differ from its recording: causes that can be seen from outside, as sentences.

Each is a fact about this recording or this machine that is known to make replays differ; none is proof.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator

from retroscope.replay.build import other_build
from retroscope.replay.moments import Diverged
from retroscope.replay.recording import Recording

_KNOWN = ("The recording ends to be exact", "The replay cannot go on")
"""How messages begin that say themselves what the cause is: memory that ran out."""
_FOREIGN = {"ctypes/__init__.py": "ctypes", "cffi/api.py": "cffi"}


def diverged(recording: Recording, text: str, input: int | None = None) -> Diverged:
    """The error for a replay process's message: says of which process, where there are several, and what the cause may
    be. `input`: the first that did not agree."""
    number = recording.process.id
    is_explained = text.startswith(_KNOWN)
    if len(recording.processes()) > 1:
        text = f"process {number}: {text}"
    return Diverged(text.rstrip() if is_explained else f"{text.rstrip()}\n{_explanation(recording, input)}", number)


def _explanation(recording: Recording, input: int | None) -> str:
    lines = []
    if input:
        number, name, _ = next(recording.input_lines(input - 1))
        lines.append(f"Input {number}, the last that agreed: {name}.")
    causes = list(likely_causes(recording))
    lines += [f"Likely cause: {cause}." for cause in causes]
    if not causes:
        lines.append("No cause is known: every extension is listed, and the interpreter has not changed.")
    return "\n".join(lines)


def likely_causes(recording: Recording) -> Iterator[str]:
    """The most telling first."""
    redacted = recording.meta.get("redacted")
    if isinstance(redacted, list) and redacted:
        yield (
            f"the recording was made with --redact, and the program computed with what is not in it: "
            f"{', '.join(map(str, redacted))}"
        )
    other = other_build(recording)
    if other:
        yield f"it was recorded by {other}; replay it with the one that recorded it"
    for note in recording.process.notes:
        if any(words in note for words in (" is not listed", "gc.get_objects", "shares memory")):
            yield note
    for end, name in _FOREIGN.items():
        if any(path.endswith(f"/{end}") for path in recording.source_paths()):
            if any(True for _ in recording.results_of_calls("builtins.id")):
                yield (
                    f"the program uses {name} and id(): where it takes an id for the address of an object, replay "
                    "finds another object there, or none"
                )
            yield (
                f"the program uses {name}: calls into the C library are recorded, but not what lies at an address, nor "
                "what other code writes there"
            )
    for _ in recording.results_of_calls("resource.setrlimit"):
        yield (
            "the program sets limits of its resources (resource.setrlimit), which a replay does not: what fails for "
            "want of them where Python does not ask for memory is not in the recording"
        )
        break
    yield from _changed_files(recording)
    release = recording.meta.get("release")
    if isinstance(release, str) and release != platform.release():
        yield f"it was recorded under Linux {release}, this is {platform.release()}"


def _changed_files(recording: Recording) -> Iterator[str]:
    """The interpreter and the compiled modules, which are no part of a trace."""
    created = recording.meta.get("created")
    if not isinstance(created, float):
        return
    for what, path in [("interpreter", recording.start.executable), *_extensions(recording)]:
        try:
            changed = os.stat(path).st_mtime
        except OSError:
            yield f"the {what} {path} is not there any more"
            continue
        if changed > created:
            yield f"the {what} {path} has changed since the recording"


def _extensions(recording: Recording) -> Iterator[tuple[str, str]]:
    for value in recording.results_of_calls(".FileFinder.find_spec"):
        if isinstance(value, tuple) and value[:1] == ("ExtensionFileLoader",):
            yield "extension", str(value[1])
