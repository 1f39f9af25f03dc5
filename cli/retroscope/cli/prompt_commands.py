"""The commands of the prompt. Names and short forms are those of pdb and gdb where these have one."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import replace

from retroscope.cli.prompt import Command, CommandFailed, Quit, Session
from retroscope.cli.prompt_causes import last_write, why
from retroscope.cli.prompt_hits import goto_hit, goto_raise, log, split_log, type_names, until
from retroscope.cli.prompt_threads import process, processes, task, tasks, thread, threads
from retroscope.replay.timeline import Breakpoint, InputId, Moment, Tick, Value
from retroscope.trace.secrets import redact

_AROUND = 5
_INPUTS_SHOWN = 10
_DESTINATIONS = "input N, output N, hit N PLACE, raise N [TYPE], 12:34:56, +3.5s, end, failure"


def _number(text: str, what: str) -> int:
    try:
        return int(text.replace(",", "").replace("_", ""))
    except ValueError:
        raise CommandFailed(f"{text!r} is not {what}") from None


# -- motion


def _motion(name: str) -> Callable[[Session, str], None]:
    """A command that calls one motion of the timeline, some times over."""

    def run(session: Session, rest: str) -> None:
        times = _number(rest, "a number of times") if rest else 1
        if times < 1:
            raise CommandFailed(f"{rest!r} is not a number of times; every motion has a reverse")
        move: Callable[[], Moment] = getattr(session.timeline, name)
        moment = move()
        for _ in range(times - 1):
            if moment.reason.value != "step":
                break
            moment = move()
        session.moved(moment)

    return run


def _goto(session: Session, rest: str) -> None:
    timeline = session.timeline
    word, _, number = rest.partition(" ")
    if word == "end":
        session.moved(timeline.goto_end())
    elif word == "failure":
        session.moved(timeline.goto_failure())
    elif word == "input":
        session.moved(timeline.goto_input(InputId(_number(number, "the number of an input"))))
    elif word == "output":
        session.moved(timeline.goto_output(_number(number, "the number of a line of output")))
    elif word == "hit":
        goto_hit(session, number.strip(), _condition_at)
    elif word == "raise":
        goto_raise(session, number)
    elif word[:1] == "+" or ":" in word:
        session.moved(timeline.goto_time(rest))
    elif word:
        session.moved(timeline.goto(Tick(_number(word, "a tick; also: " + _DESTINATIONS))))
    else:
        raise CommandFailed(f"where to? goto TICK, or: {_DESTINATIONS}")


# -- looking


def _where(session: Session, rest: str) -> None:
    frames = session.frames()
    session.frame()
    session.say(session.renderer.frames(frames, session.selected, rest == "all" or not session.timeline.visible_only))


def _list(session: Session, rest: str) -> None:
    frame = session.frame()
    text = session.timeline.source(frame.path)
    if rest:
        line = _number(rest, "a line number")
    elif session.listed:
        line = session.listed + _AROUND + 1
    else:
        line = frame.line
    shown = session.renderer.source(text, frame.line, 0, frame.path) if text is None else _window(session, text, line)
    session.say(shown)
    session.listed = line + _AROUND


def _window(session: Session, text: str, middle: int) -> str:
    frame = session.frame()
    lines = text.splitlines()
    first, last = max(1, middle - _AROUND), min(len(lines), middle + _AROUND)
    if first > last:
        raise CommandFailed(f"{session.renderer.path(frame.path)} ends with line {len(lines)}")
    rows = []
    for number in range(first, last + 1):
        row = f"{number:5} {'->' if number == frame.line else '  '} {lines[number - 1]}".rstrip()
        rows.append(session.renderer.colours.here(row) if number == frame.line else row)
    return "\n".join(rows)


def _print(session: Session, rest: str) -> None:
    if not rest:
        raise CommandFailed("what? print EXPRESSION")
    value = session.timeline.evaluate(rest, session.frame().id)
    if value.failed:
        raise CommandFailed(value.text)
    if value.text:
        session.say(value.text)
    elif not value.kind and sys.stdout.isatty():  # a statement: whoever typed it may think that it lasts
        session.say(session.renderer.colours.faint(f"done in a copy that is gone; to let it run on: what-if {rest}"))


def _what_if(session: Session, rest: str) -> None:
    if not rest:
        raise CommandFailed("what? what-if STATEMENT, for instance: what-if total = 0")
    answer = session.timeline.what_if(rest, session.frame().id)
    session.after_motion()
    session.say(session.renderer.paths(answer.text))


def _select(session: Session, towards: int, rest: str) -> None:
    frames = session.frames()
    session.frame()
    for _ in range(_number(rest, "a number of frames") if rest else 1):
        at = session.selected + towards
        while 0 <= at < len(frames) and not frames[at].visible and session.timeline.visible_only:
            at += towards
        if not 0 <= at < len(frames):
            raise CommandFailed("this is the outermost frame" if towards > 0 else "this is the innermost frame")
        session.selected = at
    session.listed = 0
    frame = session.frame()
    session.say(session.renderer.frames([frame], session.selected, True, session.selected))
    session.say(session.renderer.source(session.timeline.source(frame.path), frame.line, path=frame.path))


def _scope(session: Session, number: int) -> list[Value]:
    scopes = session.timeline.scopes(session.frame().id)
    return session.timeline.expand(scopes[min(number, len(scopes) - 1)].reference)


def _locals(session: Session, rest: str) -> None:
    values = [value for value in _scope(session, 0) if not value.name.startswith("__")]
    session.say(session.renderer.values(values) if values else "no locals")


def _args(session: Session, rest: str) -> None:
    names = session.timeline.arguments(session.frame().id)
    values = {value.name: value for value in _scope(session, 0)}
    shown = [values.get(name, Value(name, "deleted", "")) for name in names]
    session.say(session.renderer.values(shown) if shown else "no arguments")


def _tick(session: Session, rest: str) -> None:
    timeline, now = session.timeline, session.timeline.now
    last = f" of {timeline.last_tick}" if timeline.last_tick is not None else ""
    session.say(f"tick {now.tick}{last}, {now.input} inputs used, thread {now.thread}")


def _inputs(session: Session, rest: str) -> None:
    now = session.timeline.now.input
    first = _number(rest, "the number of an input") if rest else max(0, now - _INPUTS_SHOWN // 2)
    for number, name, value in session.timeline.inputs(InputId(first), _INPUTS_SHOWN):
        row = redact(f"{'->' if number == now else '  '} {number}  {name}  {value}")
        session.say(session.renderer.colours.here(row) if number == now else row)


def _output(session: Session, rest: str) -> None:
    sys.stdout.flush()
    last = b"\n"
    for chunk in session.timeline.output():
        sys.stdout.buffer.write(chunk.data)
        last = chunk.data or last
    if not last.endswith(b"\n"):
        sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()


# -- breakpoints


def _break(session: Session, rest: str) -> None:
    if not rest:
        _list_breakpoints(session)
        return
    place, condition, hits = _split_condition(rest)
    breakpoint_ = _parse_place(session, place)
    breakpoint_ = replace(breakpoint_, id=session.next_breakpoint, condition=condition, hits=hits)
    session.breakpoints.append(breakpoint_)
    complaint = session.set_breakpoints().get(breakpoint_.id)
    if complaint:
        session.breakpoints.pop()
        session.set_breakpoints()
        raise CommandFailed(complaint)
    session.next_breakpoint += 1
    session.say(f"breakpoint {breakpoint_.id} at {_place(session, breakpoint_)}")


def _watch(session: Session, rest: str) -> None:
    if not rest:
        raise CommandFailed("what? watch EXPRESSION")
    number = session.next_breakpoint
    text = session.timeline.watch(number, rest, session.frame().id)
    session.watches[number] = rest
    session.next_breakpoint += 1
    session.say(f"breakpoint {number}: stops when {rest} changes; it is {text} here")


def _condition_at(session: Session, rest: str) -> Breakpoint:
    """A place with its condition, as `break` takes it, but for one motion only."""
    if not rest:
        raise CommandFailed("which place? FILE:LINE, a line of this file, or a function")
    place, condition, hits = _split_condition(rest)
    return replace(_parse_place(session, place), condition=condition, hits=hits)


def _until(session: Session, rest: str) -> None:
    until(session, _condition_at(session, rest))


def _reverse_until(session: Session, rest: str) -> None:
    session.moved(session.timeline.goto_line(_condition_at(session, rest), back=True))


def _log(session: Session, rest: str) -> None:
    place, expression = split_log(rest)
    log(session, _parse_place(session, place), expression)


def _split_condition(rest: str) -> tuple[str, str | None, str | None]:
    """(place, condition, which hits)."""
    rest, _, hits = rest.rpartition(", hit ") if ", hit " in rest else (rest, "", "")
    match = re.match(r"(\S+)\s+if\s+(.*)", rest, re.DOTALL)
    if match:
        return match[1], match[2].strip(), hits.strip() or None
    if " " in rest:
        raise CommandFailed(f"{rest!r} is no place; break FILE:LINE [if CONDITION], or break FUNCTION [if CONDITION]")
    return rest, None, hits.strip() or None


def _parse_place(session: Session, place: str) -> Breakpoint:
    path, colon, line = place.rpartition(":")
    if colon and line.isdigit():
        return Breakpoint(0, path=path, line=int(line))
    if colon and not line:
        raise CommandFailed(f"{place} lacks the line: FILE:LINE")
    if place.isdigit():
        return Breakpoint(0, path=session.frame().path, line=int(place))
    return Breakpoint(0, function=place)


def _place(session: Session, each: Breakpoint) -> str:
    where = each.function or f"{session.renderer.path(each.path or '')}:{each.line}"
    return where + (f" if {each.condition}" if each.condition else "") + (f", hit {each.hits}" if each.hits else "")


def _list_breakpoints(session: Session) -> None:
    rows = {each.id: _place(session, each) for each in session.breakpoints}
    rows |= {number: f"watch {expression}" for number, expression in session.watches.items()}
    session.say("\n".join(f"{number}  {row}" for number, row in sorted(rows.items())) or "no breakpoints")


def _delete(session: Session, rest: str) -> None:
    if not rest:
        session.breakpoints.clear()
        session.watches.clear()
    else:
        number = _number(rest, "the number of a breakpoint")
        if number not in [*session.watches, *(each.id for each in session.breakpoints)]:
            raise CommandFailed(f"there is no breakpoint {number}; `break` lists them")
        session.breakpoints = [each for each in session.breakpoints if each.id != number]
        session.watches.pop(number, None)
    session.timeline.keep_watches(session.watches)
    session.set_breakpoints()


def _catch(session: Session, rest: str) -> None:
    words = rest.split()
    timeline = session.timeline
    if words == ["off"]:
        timeline.break_on_raised = timeline.break_on_uncaught = False
    elif words and words[0] in ("raised", "uncaught"):
        off = words[1:] == ["off"]
        setattr(timeline, f"{words[0]}_types", () if off else type_names(words[1:]))
        setattr(timeline, f"break_on_{words[0]}", not off)
    elif words:
        raise CommandFailed("catch raised, catch uncaught, either with names of types or `off`, or catch off")
    stops = [_caught(session, word) for word in ("raised", "uncaught") if getattr(timeline, f"break_on_{word}")]
    session.say("exceptions that stop: " + (", ".join(stops) or "none"))


def _caught(session: Session, word: str) -> str:
    return " ".join([word, *getattr(session.timeline, f"{word}_types")])


# -- the rest


def _library(session: Session, rest: str) -> None:
    if rest not in ("", "on", "off"):
        raise CommandFailed("library on, or library off")
    if rest:
        session.timeline.visible_only = rest == "off"
    session.say(f"motion {'skips' if session.timeline.visible_only else 'stops in'} library code")


def _help(session: Session, rest: str) -> None:
    if rest:
        command = session.find(rest)
        others = ", ".join(command.names[1:])
        session.say(f"{command.names[0]} {command.usage}".rstrip() + (f"   (short: {others})" if others else ""))
        session.say(command.summary)
        return
    for command in session.commands:
        names = ", ".join(command.names) + (f" {command.usage}" if command.usage else "")
        session.say(f"  {names:<38}  {command.summary}")


def _quit(session: Session, rest: str) -> None:
    raise Quit


COMMANDS = [
    Command(("where", "bt", "w"), "[all]", "the stack, innermost first; `all` with library code", _where),
    Command(("list", "l"), "[LINE]", "source around the current line, then what follows", _list, True),
    Command(("print", "p"), "EXPRESSION", "evaluate in the selected frame, in a throw-away copy", _print),
    Command(("locals",), "", "the local variables of the selected frame", _locals),
    Command(("args",), "", "the arguments of the selected frame", _args),
    Command(("up",), "[N]", "select the caller's frame", lambda session, rest: _select(session, 1, rest), True),
    Command(("down",), "[N]", "select the called frame", lambda session, rest: _select(session, -1, rest), True),
    Command(("step", "s"), "[N]", "to the next line, into calls", _motion("step"), True),
    Command(("next", "n"), "[N]", "to the next line of this function, over calls", _motion("next"), True),
    Command(("finish", "f"), "", "on until this function has returned", _motion("finish"), True),
    Command(("continue", "c"), "", "on to the next breakpoint or exception, or to the end", _motion("run"), True),
    Command(("reverse-step", "rs"), "[N]", "back a line, into calls", _motion("reverse_step"), True),
    Command(("reverse-next", "rn"), "[N]", "back a line of this function, over calls", _motion("reverse_next"), True),
    Command(("reverse-finish", "rf"), "", "back to the call of this function", _motion("reverse_finish"), True),
    Command(("reverse-continue", "rc"), "", "back to a breakpoint or exception", _motion("reverse_run"), True),
    Command(("until",), "PLACE [if COND]", "on to a line or function, past all breakpoints", _until),
    Command(("reverse-until",), "PLACE [if COND]", "back to a line or function, past all breakpoints", _reverse_until),
    Command(
        ("goto",), "TICK | input N | output N | hit N PLACE | raise N [TYPE] | 12:34:56 | +3.5s | failure | end",
        "to any moment", _goto,
    ),
    Command(("log",), "PLACE EXPRESSION | 'text {expr}'", "the value at every hit, without moving", _log),
    Command(("break", "b"), "[FILE:LINE | FUNCTION] [if COND] [, hit N]", "set a breakpoint, or list them", _break),
    Command(("watch",), "EXPRESSION", "stop when the value changes, in both directions", _watch),
    Command(("delete", "d"), "[N]", "delete breakpoint N, or all", _delete),
    Command(("catch",), "raised | uncaught [TYPE… | off]", "stop at exceptions, in both directions", _catch),
    Command(("last-write",), "[-s] EXPRESSION", "back to the line that last changed the value", last_write),
    Command(("why",), "EXPRESSION", "the same, and what that line read to make it", why),
    Command(("what-if",), "STATEMENT", "what the program would do from here on after this change", _what_if),
    Command(("tick",), "", "where in time this is", _tick),
    Command(("inputs",), "[N]", "what the program got from outside around now", _inputs),
    Command(("output",), "", "what the program has written so far", _output),
    Command(("processes",), "", "the processes of the trace, and which of them this is", processes),
    Command(("process",), "N", "go to another process of the trace", process),
    Command(("threads",), "[all]", "the threads of this moment; `all` with those that ended", threads),
    Command(("thread",), "[N]", "look at thread N, until the next motion; alone: back to the running one", thread),
    Command(("tasks",), "", "the asyncio tasks of this moment, and what they wait for", tasks),
    Command(("task",), "NAME", "look at a task: its coroutine and what that awaits", task),
    Command(("library",), "[on | off]", "whether motion stops in library code; at first off", _library),
    Command(("help", "h"), "[COMMAND]", "this list, or what a command does", _help),
    Command(("quit", "q"), "", "end the session", _quit),
]  # fmt: skip
