"""What a recording says on stderr at its end."""

from __future__ import annotations

from retroscope.trace.redaction import SHORTEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from retroscope.recorder.drain import Drain
    from retroscope.trace.redaction import Redaction


def closing_line(drain: Drain, trace: str, program: str, seconds: float) -> str:
    """What was recorded, how big, how to open it."""
    many = f" in {drain.processes} processes" if drain.processes > 1 else ""
    line = (
        f"recorded {drain.records:,} inputs of {program}{many} in {duration(seconds)} to {trace} "
        f"({bytes_text(drain.size)}); open it with: scope replay {trace}"
    )
    return line + "".join(f"\nscope: note: {note}" for note in drain.notes)


def lost_line(trace: str) -> str:
    """Of a trace that somebody has removed."""
    return f"{trace} was moved, removed or replaced while the program ran, and the recording with it"


def redaction_line(redaction: Redaction, patterns: tuple[str, ...]) -> str:
    """What --redact kept out, and what that costs."""
    if not redaction.names:
        line = f"no environment variable of at least {SHORTEST} bytes is called like {', '.join(patterns)}"
    else:
        places = "1 place" if redaction.found == 1 else f"{redaction.found} places"
        line = (
            f"kept out of the trace: {', '.join(redaction.names)} (in {places}); a replay finds a stand-in there, and "
            "stops where the program computed with the value"
        )
    if redaction.too_short:
        line += f"; too short to be told from other data, so still in the trace: {', '.join(redaction.too_short)}"
    return line


def bytes_text(size: int) -> str:
    """A size in bytes for people."""
    if size < 1000:
        return f"{size} bytes"
    for unit in ("KB", "MB", "GB"):
        size_in_unit = size / 1000
        if size_in_unit < 1000 or unit == "GB":
            return f"{size_in_unit:.1f} {unit}"
        size //= 1000
    return f"{size} bytes"


def duration(seconds: float) -> str:
    """A time span for people."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
