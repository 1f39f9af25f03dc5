"""The prompt's commands that go by the hits of a place: run to a line, the N-th hit, a value at every hit."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence

from retroscope.cli.prompt import CommandFailed, Session
from retroscope.replay.timeline import Breakpoint, Moment, StopReason

PlaceParser = Callable[[Session, str], Breakpoint]


def until(session: Session, place: Breakpoint) -> None:
    """On to the next hit of `place`, past all breakpoints."""
    for moment in session.timeline.hits(place, from_now=True):
        session.moved(moment)
        return


def goto_hit(session: Session, rest: str, place_in: PlaceParser) -> None:
    """`rest`: the number and the place, in either order."""
    first, _, others = rest.partition(" ")
    place, _, last = rest.rpartition(" ")
    if first.isdigit() and others:
        number, place = int(first), others.strip()
    elif last.isdigit() and place:
        number = int(last)
    else:
        raise CommandFailed("which hit of what? goto hit N PLACE [if CONDITION]")
    session.moved(session.timeline.goto_hit(place_in(session, place), number))


def goto_raise(session: Session, rest: str) -> None:
    """The N-th exception, of one type if that is named."""
    words = rest.split()
    if not words or not words[0].isdigit():
        raise CommandFailed("which one? goto raise N, or goto raise N TYPE")
    session.moved(session.timeline.goto_raise(int(words[0]), type_names(words[1:])))


def type_names(words: Sequence[str]) -> tuple[str, ...]:
    """Exception types as they are compared: without their modules."""
    names = tuple(word.strip(",").rpartition(".")[2] for word in words)
    for name in names:
        if not name.isidentifier():
            raise CommandFailed(f"{name!r} is no name of an exception type")
    return names


def log(session: Session, place: Breakpoint, expression: str) -> None:
    """Prints the value at every hit of the whole recording, or a text in quotes, and stays where it is."""
    text = _text_in_quotes(expression)
    is_text, expression = text is not None, expression if text is None else text
    origin, count = session.timeline.now, 0
    for moment in session.timeline.hits(place):
        if moment.reason is not StopReason.BREAKPOINT:
            break
        count += 1
        said = session.timeline.interpolate(expression) if is_text else session.timeline.evaluate(expression).text
        session.say(f"tick {moment.tick}  {said}")
    interrupted = session.timeline.now.reason is StopReason.INTERRUPTED
    _return_to(session, origin)
    session.say(f"interrupted after {count} hits" if interrupted else f"{count} hits")


def split_log(rest: str) -> tuple[str, str]:
    """(place, expression) of what follows `log`."""
    match = re.match(r"(\S+)\s+(.+)", rest, re.DOTALL)
    if match is None:
        raise CommandFailed("what, and where? log PLACE EXPRESSION, or log PLACE 'text {expression}'")
    return match[1], match[2]


def _text_in_quotes(expression: str) -> str | None:
    """The text of a plain string literal with braces in it: a message; else None."""
    try:
        value = ast.literal_eval(expression)
    except (ValueError, SyntaxError):
        return None
    return value if isinstance(value, str) and "{" in value else None


def _return_to(session: Session, origin: Moment) -> None:
    over = origin.reason is StopReason.END
    session.timeline.goto_end() if over else session.timeline.goto(origin.tick)
    session.forget_frames()
