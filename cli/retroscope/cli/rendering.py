"""How the prompt shows moments, frames, source and values: plain text, and colours where they are wanted."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from retroscope.replay.timeline import Frame, Moment, StopReason, Value

_REASONS = {
    StopReason.ENTRY: "the program begins",
    StopReason.STEP: "",
    StopReason.BREAKPOINT: "breakpoint",
    StopReason.EXCEPTION: "exception",
    StopReason.GOTO: "",
    StopReason.BEGINNING: "the beginning",
    StopReason.END: "the end",
    StopReason.DIVERGED: "diverged",
    StopReason.INTERRUPTED: "interrupted",
}


class Colours:
    """Escape sequences, or nothing at all."""

    def __init__(self, wanted: bool) -> None:
        self.wanted = wanted

    @classmethod
    def for_terminal(cls) -> Colours:
        """Colours only when a person looks at a terminal and has not asked for none."""
        plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
        return cls(sys.stdout.isatty() and not plain)

    def _wrap(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.wanted and text else text

    def strong(self, text: str) -> str:
        return self._wrap("1", text)

    def faint(self, text: str) -> str:
        return self._wrap("2", text)

    def here(self, text: str) -> str:
        return self._wrap("32", text)

    def alarm(self, text: str) -> str:
        return self._wrap("31", text)


class Renderer:
    """Text of what a timeline answers. `cwd` is the program's: paths below it are shown relative to it."""

    def __init__(self, cwd: str, colours: Colours) -> None:
        self._cwd = cwd.rstrip("/") + "/"
        self.colours = colours

    def path(self, path: str) -> str:
        return path.removeprefix(self._cwd) if len(self._cwd) > 1 else path

    def paths(self, text: str) -> str:
        """Text with the paths in it shortened likewise."""
        return text.replace(f" {self._cwd}", " ") if len(self._cwd) > 1 else text

    def moment(self, moment: Moment, frame: Frame | None) -> str:
        """One line: what happened, and where and when that was."""
        parts = [self._reason(moment), f"tick {moment.tick}"]
        if frame is not None:
            parts.append(self.colours.strong(f"{self.path(frame.path)}:{frame.line}") + f" in {frame.function}")
        return " · ".join(part for part in parts if part)

    def _reason(self, moment: Moment) -> str:
        word = _REASONS[moment.reason]
        if moment.reason is StopReason.BREAKPOINT:
            # 0 is a place for one motion only
            word += " " + ", ".join(map(str, moment.breakpoints)) if any(moment.breakpoints) else ""
        said = moment.text if moment.reason is not StopReason.DIVERGED else ""  # that takes several lines
        said = "" if said == word else said
        if moment.exception:
            said = f"{moment.exception} {said}".strip()
        word = word if not said else f"{word}: {said}" if word else said
        serious = moment.reason in (StopReason.EXCEPTION, StopReason.DIVERGED)
        return self.colours.alarm(word) if serious else word

    def source(self, text: str | None, line: int, around: int = 0, path: str = "") -> str:
        """The line with `around` lines on each side, the current one marked."""
        if text is None:
            return self.colours.faint(f"      the source of {self.path(path)} is not in the recording")
        lines = text.splitlines()
        first, last = max(1, line - around), min(len(lines), line + around)
        if not first <= last:
            return self.colours.faint(f"      {self.path(path)} has no line {line}")
        width = max(5, len(str(last)))
        shown = []
        for number in range(first, last + 1):
            mark = "->" if number == line else "  "
            row = f"{number:{width}} {mark} {lines[number - 1]}".rstrip()
            shown.append(self.colours.here(row) if number == line and around else row)
        return "\n".join(shown)

    def frames(self, frames: Sequence[Frame], selected: int, everything: bool, first: int = 0) -> str:
        """Innermost first, numbered from `first`; stretches of library code in one line unless `everything`."""
        rows: list[str] = []
        hidden = 0
        for number, frame in enumerate(frames, first):
            if not (frame.visible or everything or number == selected):
                hidden += 1
                continue
            rows += self._hidden(hidden)
            hidden = 0
            mark = ">" if number == selected else " "
            row = f"{mark} #{number}  {frame.function}  {self.path(frame.path)}:{frame.line}"
            rows.append(self.colours.here(row) if number == selected else row)
        return "\n".join(rows + self._hidden(hidden))

    def _hidden(self, count: int) -> list[str]:
        frames = "1 frame" if count == 1 else f"{count} frames"
        return [self.colours.faint(f"       … {frames} of library code")] if count else []

    def values(self, values: Sequence[Value]) -> str:
        return "\n".join(f"{self.colours.strong(value.name)} = {value.text}" for value in values)
