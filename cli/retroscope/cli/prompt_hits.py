"""The prompt's commands that go by the hits of a place: run to a line, the N-th hit, a value at every hit."""

from __future__ import annotations

import re
from collections.abc import Callable

from retroscope.cli.prompt import CommandFailed, Session
from retroscope.replay.timeline import Breakpoint, Moment, StopReason

PlaceParser = Callable[[Session, str], Breakpoint]


def until(session: Session, place: Breakpoint) -> None:
    """On to the next hit of `place`, past all breakpoints."""
    for moment in session.timeline.hits(place, from_now=True):
        session.moved(moment)
        return


def goto_hit(session: Session, number: int, place: Breakpoint) -> None:
    origin, count = session.timeline.now, 0
    for moment in session.timeline.hits(place):
        count += moment.reason is StopReason.BREAKPOINT
        if count == number or moment.reason is StopReason.INTERRUPTED:
            session.moved(moment)
            return
    _return_to(session, origin)
    raise CommandFailed(f"it was hit {count} times, not {number}" if count else "it was never hit")


def log(session: Session, place: Breakpoint, expression: str) -> None:
    """Prints the value at every hit of the whole recording, and stays where it is."""
    origin, count = session.timeline.now, 0
    for moment in session.timeline.hits(place):
        if moment.reason is not StopReason.BREAKPOINT:
            break
        count += 1
        session.say(f"tick {moment.tick}  {session.timeline.evaluate(expression).text}")
    interrupted = session.timeline.now.reason is StopReason.INTERRUPTED
    _return_to(session, origin)
    session.say(f"interrupted after {count} hits" if interrupted else f"{count} hits")


def split_log(rest: str) -> tuple[str, str]:
    """(place, expression) of what follows `log`."""
    match = re.match(r"(\S+)\s+(.+)", rest, re.DOTALL)
    if match is None:
        raise CommandFailed("what, and where? log FILE:LINE EXPRESSION, or log FUNCTION EXPRESSION")
    return match[1], match[2]


def _return_to(session: Session, origin: Moment) -> None:
    over = origin.reason is StopReason.END
    session.timeline.goto_end() if over else session.timeline.goto(origin.tick)
    session.forget_frames()
