"""What the commands that replay say of a trace that another build recorded."""

from __future__ import annotations

from retroscope.cli.messages import complain
from retroscope.replay.build import build_warning
from retroscope.replay.recording import Recording


def warn_of_build(recording: Recording) -> None:
    """A line on stderr when this is not the build that recorded; it may replay exactly all the same."""
    warning = build_warning(recording)
    if warning:
        complain(warning)
