"""One client's session: what the families of requests share, and which thread runs what.

Two threads. The reading thread takes messages off the channel and puts requests in a queue; the serving thread,
which called `run`, serves them one after another and is the only one to touch the timeline. What must not wait for
its turn (`pause`, `cancel`, and the first half of `terminate` and `disconnect`) is done by the reading thread, and
it reaches the work under way only through `Interruption`.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from retroscope.dap_adapter.arguments import Arguments
from retroscope.dap_adapter.channel import Channel, NotDap
from retroscope.dap_adapter.failure import RequestFailed
from retroscope.dap_adapter.interruption import Interruption
from retroscope.dap_adapter.secrecy import Secrecy
from retroscope.replay.api import TimelineApi
from retroscope.replay.moments import Moment, ReplayError

Body = Mapping[str, Any]
Request = dict[str, Any]


SERVED_DURING_MOTION = frozenset(
    {
        "setBreakpoints",
        "setFunctionBreakpoints",
        "setExceptionBreakpoints",
        "setDataBreakpoints",
        "threads",
        "source",
        "loadedSources",
    }
)
"""Requests a client may send while the program runs, and whose answer it needs before it stops again."""


LEAVE_PATIENCE = 4.0
"""Seconds that a client which wants to leave waits for work that does not let itself be stopped. Longer than it takes
to end a program that is being recorded."""
STUCK = 1
"""The exit status of an adapter that ended without waiting for its work."""


@dataclass(frozen=True)
class Reply:
    """A response, and what is done once it has been sent: motion, whose `stopped` event must come after it."""

    body: Body | None = None
    then: Callable[[], None] | None = None


Handler = Callable[[Arguments], Reply | Body | None]
UrgentHandler = Callable[[Request], bool]
"""Runs on the reading thread. True: the request is answered, and is not queued."""


class Family(Protocol):
    """A module's requests."""

    def requests(self) -> Mapping[str, Handler]: ...


class Session:
    """State that more than one family of requests needs, and the dispatch to them."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.interruption = Interruption()
        self.client: Arguments = {}
        """The arguments of `initialize`: what the client can do and how it counts lines."""
        self.leaving = threading.Event()
        """Set as soon as the client asks to leave, or has gone: work under way is being stopped for good."""
        self.over = False
        """Set once the client's leave has been served: nothing more is taken from the queue."""
        self.secrecy = Secrecy()
        self._finished = threading.Event()
        self._timeline: TimelineApi | None = None
        self._entry: Moment | None = None
        self._handlers: dict[str, Handler] = {}
        self._urgent: dict[str, UrgentHandler] = {"cancel": self.cancel}
        self._waiting: queue.Queue[Request | None] = queue.Queue()
        self._taken_back: set[int] = set()
        self._serving: Request | None = None

    @property
    def timeline(self) -> TimelineApi:
        """The open timeline; a request that needs one before there is one is refused."""
        if self._timeline is None:
            raise RequestFailed("no recording is open yet: send launch or attach first")
        return self._timeline

    @property
    def is_open(self) -> bool:
        return self._timeline is not None

    def open(self, timeline: TimelineApi) -> None:
        if self._timeline is not None:
            raise RequestFailed("this session has a recording open already")
        self._timeline = timeline
        self._entry = timeline.now

    @property
    def entry(self) -> Moment:
        """Where the timeline stood when it was opened: before the first line of the program's own code."""
        if self._entry is None:
            raise RequestFailed("no recording is open yet: send launch or attach first")
        return self._entry

    def line_to_client(self, line: int) -> int:
        return line if self.client.get("linesStartAt1", True) else line - 1

    def line_from_client(self, line: int) -> int:
        return line if self.client.get("linesStartAt1", True) else line + 1

    def column_to_client(self, column: int) -> int:
        return column if self.client.get("columnsStartAt1", True) else column - 1

    def column_from_client(self, column: int) -> int:
        return column if self.client.get("columnsStartAt1", True) else column + 1

    def add(self, family: Family, urgent: Mapping[str, UrgentHandler] | None = None) -> None:
        self._handlers.update(family.requests())
        self._urgent.update(urgent or {})

    def say(self, sentence: str, category: str = "console") -> None:
        """Writes a line of our own to the client's console."""
        self.channel.event("output", {"category": category, "output": sentence + "\n"})

    def answer_early(self) -> None:
        """Answers the request that is being served; its handler goes on. On the serving thread, once.

        If the handler fails after all, the console is told and the client hears that the session is over.
        """
        request, self._serving = self._serving, None
        assert request is not None
        self.channel.respond(request)

    def run(self) -> None:
        """Serves the client until it disconnects or goes away; then closes the timeline."""
        threading.Thread(target=self._read, name="dap reader", daemon=True).start()
        try:
            while not self.over:
                request = self._waiting.get()
                if request is None:
                    return
                self._serve(request)
        finally:
            timeline, self._timeline = self._timeline, None
            if timeline is not None:
                timeline.close()
            self.channel.close()
            self._finished.set()

    def serve_what_cannot_wait(self) -> None:
        """Between two stretches of one motion: serves what came first in the queue, as long as it may be served."""
        while True:
            with self._waiting.mutex:
                first = self._waiting.queue[0] if self._waiting.queue else None
            if first is None or first["command"] not in SERVED_DURING_MOTION:
                return
            self._waiting.get()
            self._serve(first)

    def _read(self) -> None:
        try:
            for message in self.channel.messages():
                if message.get("type") == "request":
                    self._receive(message)
        except NotDap as error:
            print(f"scope dap: the client was cut off: {error}", file=sys.stderr)
        finally:
            self._waiting.put(None)
            self.leave(None)

    def leave(self, request: Request | None) -> None:
        """Stops what is under way, because nobody will look at its result. From the reading thread.

        A replay that hangs must not keep an editor waiting: after a while `request` is answered and the process ends.
        """
        if not self.leaving.is_set():
            self.leaving.set()
            threading.Thread(target=self._watch_the_end, args=(request,), name="leaving", daemon=True).start()
        self.interruption.for_good()

    def _watch_the_end(self, request: Request | None) -> None:
        if self._finished.wait(LEAVE_PATIENCE):
            return
        print("scope dap: the work under way did not stop when asked; ending without waiting for it", file=sys.stderr)
        if request is not None:
            self.channel.respond(request)
        os._exit(STUCK)

    def _receive(self, request: Request) -> None:
        if not isinstance(request.get("seq"), int) or not isinstance(request.get("command"), str):
            raise NotDap("a request without seq or command")
        urgent = self._urgent.get(request["command"])
        try:
            answered = urgent is not None and urgent(request)
        except RequestFailed as failure:
            self.channel.refuse(request, failure)
            return
        if not answered:
            self._waiting.put(request)
            if request["command"] in SERVED_DURING_MOTION:
                self.interruption.briefly()

    def cancel(self, request: Request) -> bool:
        """Takes back a request that waits; work under way is stopped only where it can take long: launch."""
        wanted = (request.get("arguments") or {}).get("requestId")
        serving = self._serving
        if serving is not None and serving["seq"] == wanted:
            if serving["command"] in ("launch", "attach"):
                self.interruption.for_good()
        elif wanted in self._numbers_waiting():
            self._taken_back.add(wanted)
        self.channel.respond(request)
        return True

    def _numbers_waiting(self) -> list[int]:
        with self._waiting.mutex:
            return [request["seq"] for request in self._waiting.queue if request is not None]

    def _serve(self, request: Request) -> None:
        self._serving = request
        try:
            reply = self._answer(request)
        except ReplayError as error:
            self._refuse(request, RequestFailed(str(error)))
        except RequestFailed as failure:
            self._refuse(request, failure)
        except Exception as error:  # a mistake of ours: the session goes on, the user is told
            self._refuse(request, own_mistake(request["command"], error))
        else:
            if reply.then is not None:
                self.interruption.expect()
            if self._serving is not None:
                self.channel.respond(request, reply.body)
                self._serving = None
            if reply.then is not None:
                self._follow_up(request, reply.then)
                self.interruption.expect_no_more()
        finally:
            self._serving = None

    def _refuse(self, request: Request, failure: RequestFailed) -> None:
        if self._serving is not None:
            self.channel.refuse(request, failure)
        else:
            self.say(str(failure), "stderr")
            self.channel.event("terminated")

    def _answer(self, request: Request) -> Reply:
        command = request["command"]
        if request["seq"] in self._taken_back:
            self._taken_back.discard(request["seq"])
            raise RequestFailed("cancelled")
        handler = self._handlers.get(command)
        if handler is None:
            raise RequestFailed(f"retroscope does not serve the request '{command}'")
        if not self.client and command not in ("initialize", "disconnect"):
            raise RequestFailed(f"'initialize' must come before '{command}'")
        arguments = request.get("arguments")
        if arguments is not None and not isinstance(arguments, dict):
            raise RequestFailed(f"the arguments of '{command}' must be an object")
        reply = handler(arguments or {})
        return reply if isinstance(reply, Reply) else Reply(reply)

    def _follow_up(self, request: Request, work: Callable[[], None]) -> None:
        """Runs what comes after a response. Failures have no response left to go in: the console gets them."""
        try:
            work()
        except (ReplayError, RequestFailed) as error:
            self.say(str(error), "stderr")
        except Exception as error:
            self.say(str(own_mistake(request["command"], error)), "stderr")


def own_mistake(command: str, error: Exception) -> RequestFailed:
    if os.environ.get("SCOPE_DEBUG") == "1":
        traceback.print_exception(error, file=sys.stderr)
    kind = type(error).__name__
    sentence = f"retroscope failed at '{command}' ({kind}: {error}); SCOPE_DEBUG=1 in its environment shows where"
    return RequestFailed(sentence, show_user=True)
