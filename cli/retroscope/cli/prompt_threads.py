"""The prompt's commands on threads and asyncio tasks: who is there at this moment, and what each of them does."""

from __future__ import annotations

from collections.abc import Sequence

from retroscope.cli.prompt import CommandFailed, Session
from retroscope.replay.timeline import Frame, ReplayError, TaskInfo, ThreadId


def processes(session: Session, rest: str) -> None:
    """All that the trace holds; the one of this prompt is marked."""
    for each in session.timeline.processes():
        what = "forked" if each.forked is not None else " ".join(each.argv)
        came = f", from process {each.parent}" if each.parent is not None else ""
        row = f"{each.id:3}  {what}{came}, pid {each.pid}"
        here = each.id == session.timeline.recording.process.id
        session.say(session.renderer.colours.here(f"> {row}") if here else f"  {row}")
    session.say("`process N` goes to another one")


def process(session: Session, rest: str) -> None:
    """Leaves this process for another one of the trace, and shows where that begins."""
    try:
        number = int(rest)
    except ValueError:
        raise CommandFailed("which one? process N; `processes` lists them") from None
    if number == session.timeline.recording.process.id:
        raise CommandFailed(f"this is process {number}")
    for sentence in session.turn_to(session.open_process(number)):
        session.say(sentence)
    session.moved(session.timeline.now)


def threads(session: Session, rest: str) -> None:
    if rest not in ("", "all"):
        raise CommandFailed("threads, or threads all")
    shown = [each for each in session.timeline.threads() if rest == "all" or each.state != "finished"]
    width = max((len(each.name) for each in shown), default=0)
    for each in shown:
        doing = f"{each.state} {each.waits}".rstrip()
        frames = session.timeline.stack(each.id) if each.state not in ("finished", "starting") else []
        row = f"{each.id:3}  {each.name:{width}}  {doing}{_place(session, frames)}"
        here = each.id == session.timeline.now.thread
        session.say(session.renderer.colours.here(f"> {row}") if here else f"  {row}")


def thread(session: Session, rest: str) -> None:
    if not rest:
        session.moved(session.timeline.now)
        return
    try:
        number = ThreadId(int(rest))
        found = next(each for each in session.timeline.threads() if each.id == number)
    except (ValueError, StopIteration):
        raise CommandFailed(f"there is no thread {rest} at this moment; `threads` lists them") from None
    if found.state in ("finished", "starting"):
        raise CommandFailed(f"thread {rest} has no stack at this moment, it is {found.state}")
    _turn_to(session, session.timeline.stack(number))


def tasks(session: Session, rest: str) -> None:
    found = session.timeline.tasks()
    width = max((len(each.name) for each in found), default=0)
    for each in found:
        doing = f"{each.state} {each.waits}".rstrip()
        row = f"{each.name:{width}}  {doing}{_place(session, each.frames)}"
        session.say(session.renderer.colours.here(f"> {row}") if each.state == "running" else f"  {row}")
    if not found:
        session.say("there is no asyncio task at this moment")


def task(session: Session, rest: str) -> None:
    if not rest:
        raise CommandFailed("which? task NAME; `tasks` lists them")
    found = session.timeline.tasks()
    chosen = _named(found, rest) or _named(found, f"Task-{rest}")
    if chosen is None:
        raise CommandFailed(f"there is no task {rest!r} at this moment; `tasks` lists them")
    if not chosen.frames:
        raise CommandFailed(f"the task {chosen.name} has no Python code to show")
    _turn_to(session, chosen.frames)


def _named(found: Sequence[TaskInfo], name: str) -> TaskInfo | None:
    return next((each for each in found if each.name == name), None)


def _turn_to(session: Session, frames: Sequence[Frame]) -> None:
    if not frames:
        raise ReplayError("no Python code is running there at this moment")
    session.look_at(frames)
    session.say(session.renderer.frames(frames, session.selected, not session.timeline.visible_only))
    frame = session.frame()
    session.say(session.renderer.source(session.timeline.source(frame.path), frame.line, path=frame.path))


def _place(session: Session, frames: Sequence[Frame]) -> str:
    """Where the user's own code of a stack stands."""
    frame = next((each for each in frames if each.visible), frames[0] if frames else None)
    return f"  at {session.renderer.path(frame.path)}:{frame.line} in {frame.function}" if frame else ""
