"""Moving through the recording: continue, the steps, their reverses, goto, pause."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from retroscope.dap_adapter.arguments import Arguments
from retroscope.dap_adapter.breakpoints import Breakpoints
from retroscope.dap_adapter.inspection import Inspection
from retroscope.dap_adapter.output import RecordedOutput
from retroscope.dap_adapter.session import Handler, Reply, Request, Session, UrgentHandler, own_mistake
from retroscope.dap_adapter.stops import stopped_body
from retroscope.replay.api import TimelineApi
from retroscope.replay.moments import Diverged, Moment, ReplayError, StopReason

Journey = Callable[[TimelineApi], Moment]
"""A motion of the timeline."""

VERBS: Mapping[str, Journey] = {
    "continue": lambda timeline: timeline.run(),
    "next": lambda timeline: timeline.next(),
    "stepIn": lambda timeline: timeline.step(),
    "stepOut": lambda timeline: timeline.finish(),
    # One button for going back: the exact undoing of "next". Backwards into a call goes `.rs` in the console.
    "stepBack": lambda timeline: timeline.reverse_next(),
    "reverseContinue": lambda timeline: timeline.reverse_run(),
}
RESUMABLE = frozenset({"continue", "reverseContinue"})
"""Motions that can be broken off for a change of breakpoints and taken up again with the same meaning."""


def to_entry(entry: Moment) -> Journey:
    """To where the timeline stood at first."""

    def journey(timeline: TimelineApi) -> Moment:
        return entry if timeline.now == entry else replace(timeline.goto(entry.tick), reason=entry.reason)

    return journey


class Motion:
    """Each verb answers first and moves then, so that the response precedes the `stopped` event."""

    def __init__(
        self, session: Session, breakpoints: Breakpoints, inspection: Inspection, output: RecordedOutput
    ) -> None:
        self._session = session
        self._breakpoints = breakpoints
        self._inspection = inspection
        self._output = output

    def requests(self) -> Mapping[str, Handler]:
        return {verb: self._handler(verb) for verb in VERBS}

    def urgent(self) -> Mapping[str, UrgentHandler]:
        return {"pause": self.pause}

    def move(self, journey: Journey, *, resumable: bool = False) -> Moment:
        """Moves, shows what the program wrote on the way, and tells the client where it stopped.

        When the replay fails on the way, the client is still told that it stands somewhere: one that waits for
        `stopped` for ever is of no use to anyone.
        """
        self._inspection.forget()
        arrived: list[Moment] = []
        interruption = self._session.interruption
        interruption.during(
            self._session.timeline.interrupt,
            lambda: arrived.append(self._travel(journey, resumable)),
            resumable=resumable,
        )
        moment = arrived[0]
        self._inspection.moment = moment
        self._output.show_up_to(moment)
        self.tell(moment)
        return moment

    def _travel(self, journey: Journey, resumable: bool) -> Moment:
        """A motion to its end, with the pauses that other requests need."""
        if resumable:
            self._session.serve_what_cannot_wait()  # what came before there was anything to interrupt
        moment = self._leg(journey)
        while moment.reason is StopReason.INTERRUPTED and self._session.interruption.may_go_on():
            self._session.serve_what_cannot_wait()
            if self._session.interruption.is_for_good:
                return moment
            moment = self._leg(journey)
        return moment

    def _leg(self, journey: Journey) -> Moment:
        timeline = self._session.timeline
        try:
            return journey(timeline)
        except Exception as error:
            known = isinstance(error, ReplayError)
            sentence = str(error if known else own_mistake("motion", error))
            self._session.say(sentence, "stderr")
            reason = StopReason.DIVERGED if isinstance(error, Diverged) else StopReason.INTERRUPTED
            return replace(timeline.now, reason=reason, text=sentence)

    def tell(self, moment: Moment) -> None:
        """Sends the `stopped` event of a moment."""
        functions, data = self._breakpoints.function_ids(), self._breakpoints.data_ids
        body = stopped_body(self._session.timeline, moment, functions, data)
        self._session.channel.event("stopped", body)

    def announce(self) -> None:
        """For motion that no request of the protocol implies: the client must learn that time passes."""
        thread = int(self._session.timeline.now.thread)
        self._session.channel.event("continued", {"threadId": thread, "allThreadsContinued": True})

    def _handler(self, verb: str) -> Handler:
        def serve(_arguments: Arguments) -> Reply:
            self._session.timeline  # noqa: B018 - refused here, before the response, when nothing is open
            body: dict[str, Any] = {"allThreadsContinued": True} if verb == "continue" else {}
            return Reply(body, then=lambda: self._go(verb))

        return serve

    def _go(self, verb: str) -> None:
        self.move(VERBS[verb], resumable=verb in RESUMABLE)

    def pause(self, request: Request) -> bool:
        self._session.interruption.for_good()
        self._session.channel.respond(request)
        return True
