"""Code that runs while the interpreter takes itself down can be looked at as any other."""

from __future__ import annotations

from retroscope.replay.timeline import Breakpoint, StopReason, Timeline

from tests.replay.conftest import Recorded

PROGRAM = """\
class Kept:
    def __del__(self):
        left = self.n
        self.n = left + 1
kept = Kept()
kept.n = 41
kept.me = kept
"""


def test_what_is_deleted_at_the_very_end_is_shown(record_text: Recorded) -> None:
    program, trace = record_text(PROGRAM)
    with Timeline.open(trace) as timeline:
        timeline.set_breakpoints([Breakpoint(1, path=str(program), line=4)])
        assert timeline.run().reason is StopReason.BREAKPOINT
        assert [(frame.function, frame.line) for frame in timeline.stack()] == [("Kept.__del__", 4)]
        shown = timeline.expand(timeline.scopes(timeline.stack()[0].id)[0].reference)
        assert {value.name: value.text for value in shown}["left"] == "41"
        assert timeline.evaluate("self.n + left").text == "82"
        assert timeline.last_write("left").tick == timeline.now.tick
        assert timeline.stack()[0].line == 3
