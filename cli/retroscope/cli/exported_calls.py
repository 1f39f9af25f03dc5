"""From the facts of an observed replay to calls and lines that fit into each other, thread by thread.

Facts come in the order in which they happened. What is handed on to a `Sink` is filtered, redacted, and complete: every
call that begins also ends, at the latest where the recording or the wanted stretch of it does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from retroscope.replay.index_facts import Kind
from retroscope.replay.observation import Frames, Function, facts
from retroscope.trace.secrets import HIDDEN, is_secret_name, redact

HOW = ("returned", "yielded", "raised")
Values = dict[str, str | None]
"""Texts by name; None: not bound any more."""


@dataclass(slots=True)
class Open:
    """A call under way. `shown`: the sink knows of it. `resumed`: it is a generator that goes on."""

    frame: int
    function: Function
    caller: int
    resumed: bool
    arguments: Values
    shown: bool = False


class Sink(Protocol):
    """Where calls and lines go. `tick` never goes back."""

    def entered(self, tick: int, thread: int, call: Open) -> None: ...
    def left(self, tick: int, thread: int, call: Open, how: str, value: str | None) -> None: ...
    def ran(self, tick: int, thread: int, call: Open, line: int, changed: Values) -> None: ...
    def raised(self, tick: int, thread: int, call: Open, exception: str) -> None: ...


@dataclass(frozen=True)
class Wanted:
    """What of a recording is exported: functions, threads (empty: all), and ticks from `first` to `last`."""

    function: Callable[[Function], bool]
    threads: frozenset[int]
    first: int
    last: int
    values: bool
    secrets: bool


class Calls:
    """Follows the facts of block after block."""

    def __init__(self, sink: Sink, wanted: Wanted, first_input: int) -> None:
        """`first_input`: nothing before that input is used, for it is another process's."""
        self._sink = sink
        self._wanted = wanted
        self._first_input = first_input
        self._began = first_input == 0 and wanted.first <= 1
        self._frames = Frames()
        self._stacks: dict[int, list[Open]] = {}
        self._changed: dict[int, Values] = {}
        self._thread = 1
        self._pending: Open | None = None
        self._kinds = Kind.ENTER | Kind.LEAVE | Kind.RESUME | Kind.RAISE | Kind.INPUT
        self._kinds |= Kind.LINE | Kind.KEPT
        if wanted.values:
            self._kinds |= Kind.LOCAL | Kind.CONTENT
        self.tick = 0
        self.inputs = 0
        self.over = False
        """Whether the wanted stretch has been passed."""

    def follow(self, block: bytes) -> None:
        self._frames.begin(block)
        for fact in facts(block, self._kinds):
            kind, tick = fact[0], fact[1]
            if tick > self._wanted.last:
                self.over = True
                return
            if not self._began and tick >= self._wanted.first and self.inputs >= self._first_input:
                self._begin(tick)
            self.tick = tick
            _FOLLOW[kind](self, *fact[1:])

    def end(self) -> None:
        """Ends the calls that are still under way."""
        self._flush()
        for thread, stack in self._stacks.items():
            for call in reversed(stack):
                self._leave(thread, call, "the recording ends" if not self.over else "the export ends", None)
        self._stacks = {}

    def _begin(self, tick: int) -> None:
        """From here on everything is shown; calls that are under way begin here."""
        self._began = True
        for thread, stack in self._stacks.items():
            for call in stack:
                self._show(tick, thread, call)

    def _show(self, tick: int, thread: int, call: Open) -> None:
        call.shown = self._shows(thread) and self._wanted.function(call.function)
        if call.shown:
            self._sink.entered(tick, thread, call)

    def _shows(self, thread: int) -> bool:
        return self._began and (not self._wanted.threads or thread in self._wanted.threads)

    def _flush(self) -> None:
        """The call that has just begun is told when its arguments are known: at its first line, or what comes first."""
        call, self._pending = self._pending, None
        if call is not None:
            self._show(self.tick, self._thread, call)

    def _top(self, frame: int) -> Open | None:
        stack = self._stacks.get(self._thread)
        return stack[-1] if stack and stack[-1].frame == frame else None

    def _push(self, thread: int, call: Open) -> None:
        self._flush()
        self._thread = thread
        self._stacks.setdefault(thread, []).append(call)
        self._pending = call

    def _enter(self, tick: int, frame: int, code: int, caller: int, thread: int) -> None:
        self._push(thread, Open(frame, self._frames.entered(frame, code), max(caller, 0), False, {}))

    def _resume(self, tick: int, frame: int, caller: int, thread: int) -> None:
        function = self._frames.of(frame)
        if function is not None:
            self._push(thread, Open(frame, function, max(caller, 0), True, {}))

    def _line(self, tick: int, frame: int, code: int, line: int, thread: int) -> None:
        if self._pending is not None:
            self._flush()
        self._thread = thread
        changed = self._changed.pop(frame, {})
        call = self._top(frame)
        if call is not None and call.shown:
            self._sink.ran(tick, thread, call, line, changed)

    def _kept(self, tick: int, frame: int, slot: int, value: Any) -> None:
        """What a variable holds at a frame's first event in a block: where the call has just begun, an argument."""
        call = self._pending
        if call is not None and call.frame == frame and not call.resumed and value is not None:
            name = call.function.names[slot]
            call.arguments[name] = self._text(value, name)

    def _local(self, tick: int, frame: int, slot: int, value: Any, by: int = 0) -> None:
        function = self._frames.of(frame)
        if function is not None:
            name = function.names[slot]
            self._changed.setdefault(frame, {})[name] = self._text(value, name)

    def _raise(self, tick: int, frame: int, value: Any) -> None:
        self._flush()
        call = self._top(frame)
        if call is not None and call.shown:
            self._sink.raised(tick, self._thread, call, self._text(value) or "")

    def _left(self, tick: int, frame: int, how: int, value: Any, thread: int) -> None:
        self._flush()
        self._thread = thread
        stack = self._stacks.get(thread, [])
        if any(call.frame == frame for call in reversed(stack)):
            while stack:
                call = stack.pop()
                mine = call.frame == frame
                self._leave(thread, call, HOW[how if mine else 2], self._text(value) if mine else None)
                if mine:
                    break
        self._frames.left(frame, how)
        self._changed.pop(frame, None)

    def _leave(self, thread: int, call: Open, how: str, value: str | None) -> None:
        if call.shown:
            self._sink.left(self.tick, thread, call, how, value)

    def _input(self, tick: int, inputs: int) -> None:
        self.inputs = inputs

    def _text(self, value: Any, name: str = "") -> str | None:
        """A value as text; what looks like a secret only if secrets are wanted."""
        if value is None:
            return None
        kind, _, text, flags = value
        shown = str(text) + ("…" if flags & 1 else "")
        if not self._wanted.secrets:
            if name and kind in ("str", "bytes") and is_secret_name(name):
                return HIDDEN
            shown = redact(shown)
        return shown


_FOLLOW: dict[int, Callable[..., None]] = {
    Kind.LINE: Calls._line,
    Kind.ENTER: Calls._enter,
    Kind.LEAVE: Calls._left,
    Kind.RESUME: Calls._resume,
    Kind.LOCAL: Calls._local,
    Kind.CONTENT: Calls._local,
    Kind.KEPT: Calls._kept,
    Kind.RAISE: Calls._raise,
    Kind.INPUT: Calls._input,
}
_FOLLOW = {int(kind): method for kind, method in _FOLLOW.items()}
