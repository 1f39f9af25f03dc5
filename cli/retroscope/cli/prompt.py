"""The time-travel prompt: one session of commands on one timeline.

A command is a line of text; it prints plain text, or raises `CommandFailed` with a sentence. `prompt_commands` has the
commands, `prompt_input` the terminal. Nothing here knows how replay works.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from retroscope.cli.rendering import Renderer
from retroscope.replay.timeline import Breakpoint, Frame, Moment, ReplayError, StopReason, Timeline
from retroscope.trace import TraceError


class CommandFailed(Exception):
    """The command did not do what was asked; the message is a sentence for the user."""


class Quit(Exception):
    """The user has had enough."""


@dataclass(frozen=True)
class Command:
    """`names`: the full one first. `usage` shows the arguments."""

    names: tuple[str, ...]
    usage: str
    summary: str
    run: Callable[[Session, str], None]
    repeats: bool = False
    """Whether an empty line at the prompt does it again."""


class Session:
    """What the user's commands share: the timeline, the frame they look at, their breakpoints."""

    def __init__(
        self,
        timeline: Timeline,
        renderer: Renderer,
        commands: list[Command],
        open_process: Callable[[int], Timeline],
    ) -> None:
        """Takes the timeline over. `open_process` gives that of another process of the trace, or raises ReplayError."""
        self.timeline = timeline
        self.renderer = renderer
        self.commands = commands
        self.by_name = {name: command for command in commands for name in command.names}
        self.breakpoints: list[Breakpoint] = []
        self.watches: dict[int, str] = {}
        """Expressions that are watched, numbered with the breakpoints."""
        self.next_breakpoint = 1
        self.selected = 0
        self.listed = 0
        """The line up to which `list` has shown the source, 0 when the user has moved since."""
        self._frames: Sequence[Frame] | None = None
        self.after_motion: Callable[[], None] = lambda: None
        """Called before the place is shown, for what drew over the screen meanwhile."""
        self.open_process = open_process

    def say(self, text: str) -> None:
        sys.stdout.write(text + "\n" if not text.endswith("\n") else text)

    def do(self, line: str) -> None:
        """Runs one command; raises CommandFailed, Quit, and what is wrong with the trace."""
        word, _, rest = line.strip().partition(" ")
        if word:
            self.find(word).run(self, rest.strip())

    def find(self, word: str) -> Command:
        command = self.by_name.get(word)
        if command is not None:
            return command
        begun = {each.names[0]: each for each in self.commands if each.names[0].startswith(word)}
        if len(begun) == 1:
            return next(iter(begun.values()))
        choices = f"it could be {', '.join(begun)}" if begun else "`help` lists the commands, `print` evaluates Python"
        raise CommandFailed(f"there is no command {word!r}; {choices}")

    def repeats(self, line: str) -> bool:
        """Whether an empty line after this one does it again."""
        try:
            return self.find(line.partition(" ")[0]).repeats
        except CommandFailed:
            return False

    def attempt(self, line: str) -> bool:
        """Runs one command and says what is wrong on stderr; whether it succeeded. A divergence is not caught."""
        try:
            self.do(line)
        except CommandFailed as error:
            sys.stdout.flush()
            sys.stderr.write(f"scope: {error}\n")
            return False
        except (ReplayError, TraceError) as error:
            if error.status != 1:
                raise
            sys.stdout.flush()
            sys.stderr.write(f"scope: {error}\n")
            return False
        return True

    def turn_to(self, timeline: Timeline) -> list[str]:
        """Goes on with the timeline of another process and closes the one before; what stayed behind, in sentences."""
        left, self.timeline = self.timeline, timeline
        for name in ("visible_only", "break_on_raised", "break_on_uncaught", "raised_types", "uncaught_types"):
            setattr(timeline, name, getattr(left, name))
        left.close()
        sentences = [f"the watch of {each} stayed behind" for each in self.watches.values()]
        self.watches.clear()
        return sentences + [f"breakpoint {number}: {message}" for number, message in self.set_breakpoints().items()]

    def close(self) -> None:
        self.timeline.close()

    # -- where the user is

    def moved(self, moment: Moment) -> None:
        """After motion: looks at the innermost frame again and shows the place."""
        self.forget_frames()
        self.show_place()
        if moment.reason is StopReason.DIVERGED:
            raise CommandFailed("the replay does not do what the recording did; nothing after this tick can be trusted")

    def forget_frames(self) -> None:
        """After a motion there and back: the frames that were known are those of a moment that was left."""
        self.selected = self.listed = 0
        self._frames = None
        self.after_motion()

    def show_place(self) -> None:
        frame = self.frame() if self.frames() else None
        self.say(self.renderer.moment(self.timeline.now, frame))
        if frame is not None:
            self.say(self.renderer.source(self.timeline.source(frame.path), frame.line, path=frame.path))
        if self.timeline.now.reason is StopReason.DIVERGED:
            self.say(self.timeline.now.text)

    def frames(self) -> Sequence[Frame]:
        """The stack that the user looks at: the running thread's, unless they chose another one."""
        if self._frames is None:
            self._frames = self.timeline.stack()
        return self._frames

    def look_at(self, frames: Sequence[Frame]) -> None:
        """Turns to another stack of this moment, until the next motion: to its innermost frame of the user's code."""
        self._frames = frames
        shown = (at for at, frame in enumerate(frames) if frame.visible)
        self.selected = next(shown, 0) if self.timeline.visible_only else 0
        self.listed = 0

    def frame(self) -> Frame:
        """The frame the user looks at."""
        frames = self.frames()
        if not frames:
            raise CommandFailed(
                "no code is running here, the program is over; `reverse-step` or `goto failure` lead back"
            )
        return frames[min(self.selected, len(frames) - 1)]

    def set_breakpoints(self) -> dict[int, str]:
        """Hands the breakpoints to the timeline; messages about those that mean no place."""
        statuses = self.timeline.set_breakpoints(self.breakpoints)
        return {status.id: status.message for status in statuses if not status.verified}
