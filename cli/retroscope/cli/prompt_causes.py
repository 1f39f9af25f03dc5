"""The prompt's commands that ask for causes."""

from __future__ import annotations

from retroscope.cli.prompt import CommandFailed, Session


def last_write(session: Session, rest: str) -> None:
    if not rest:
        raise CommandFailed("of what? last-write EXPRESSION")
    searched = rest.startswith("-s ")
    expression = rest.removeprefix("-s ").strip()
    session.moved(session.timeline.last_write(expression, session.frame().id, use_index=not searched))


def why(session: Session, rest: str) -> None:
    """Back to the line that made the value, and what that line read."""
    if not rest:
        raise CommandFailed("why what? why EXPRESSION")
    session.moved(session.timeline.last_write(rest, session.frame().id))
    values = session.timeline.reads(session.frame().id)
    if not values:
        session.say("  it reads no variable")
    for value in values:
        session.say(f"  {value.name} {'cannot be read: ' if value.failed else '= '}{value.text}")
