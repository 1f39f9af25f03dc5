"""The program's recorded output, shown as the timeline passes the moments at which it was written."""

from __future__ import annotations

import codecs
from itertools import groupby

from retroscope.dap_adapter.session import Session
from retroscope.replay.moments import InputId, Moment


class RecordedOutput:
    """Shows every piece once, however often the user walks back and forth over it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._furthest = InputId(-1)  # the moment shown up to
        self._shown = InputId(-1)  # the last piece shown
        self._silent = False
        self._decoders = {
            name: codecs.getincrementaldecoder("utf-8")("replace")  # a character may be split between two writes
            for name in ("stdout", "stderr")
        }

    def has_been_seen(self) -> None:
        """The user saw all of it already, while it was recorded."""
        self._silent = True

    def show_up_to(self, moment: Moment) -> None:
        if self._silent or moment.input <= self._furthest:
            return
        new = [chunk for chunk in self._session.timeline.output() if chunk.input > self._shown]
        for stream, pieces in groupby(new, lambda chunk: chunk.stream):
            text = self._decoders[stream].decode(b"".join(piece.data for piece in pieces))
            if text:
                self._session.channel.event("output", {"category": stream, "output": text})
        if new:
            self._shown = new[-1].input
        self._furthest = moment.input
