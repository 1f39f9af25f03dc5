"""`scope record`: runs a program under the recorder, stores what it records, and ends as the program ended.

Two processes: the program's interpreter, and this one, which drains. The program is started before anything heavy is
imported here, so the two start-ups overlap. Linux only (memfd, pidfd).
"""

from __future__ import annotations

import os
import sys
import time

from retroscope.recorder.closing import closing_line, lost_line, redaction_line
from retroscope.recorder.door import Door
from retroscope.recorder.job import Job
from retroscope.recorder.saying import say
from retroscope.recorder.spawn import Launch, make_ring
from retroscope.trace.claim import Claim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from retroscope.recorder._core import RingConsumer
    from retroscope.recorder.drain import Drain


class RecordOptions:
    """What to record: `kind` is "script", "module" or "code", `target` its path, name or text."""

    __slots__ = ("args", "chaos", "kind", "quiet", "redact", "target", "trace")

    def __init__(
        self, kind: str, target: str, args: list[str], *, trace: str = "trace.db", chaos: int | None = None,
        quiet: bool = False, redact: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        """`chaos` is the seed of the places at which threads are preempted; None: by time. `redact`: patterns of the
        names of environment variables whose values must not be in the trace."""
        self.redact = redact
        self.kind = kind
        self.target = target
        self.args = args
        self.trace = trace
        self.chaos = chaos
        self.quiet = quiet


class Run:
    """One recorded run that is over."""

    __slots__ = ("closing", "drain", "ended", "number", "told_to_end")

    def __init__(self, ended: str, number: int, drain: Drain | None, *, closing: str, told_to_end: bool) -> None:
        self.ended = ended  # "exited" or "signal"
        self.number = number  # the exit status, or the signal
        self.drain = drain  # None: storing could not begin
        self.closing = closing  # what to say about it in a line
        self.told_to_end = told_to_end  # somebody interrupted it or told it to end

    @property
    def status(self) -> int:
        """The exit status as a shell has it."""
        return self.number if self.ended == "exited" else 128 + self.number


def record(options: RecordOptions) -> int:
    """Records one run and says so; returns the program's exit status, 128 + N if signal N ended it."""
    run = record_run(options)
    if run.drain is not None and run.drain.lost:
        say(lost_line(options.trace))
    elif run.drain is not None and not options.quiet and os.isatty(2):
        say(run.closing)
    return run.status


def record_run(options: RecordOptions) -> Run:
    """Records one run.

    RefusedPath, BusyTrace or OSError before the program has started; after that it always runs to its end.
    """
    from retroscope.recorder._core import RingConsumer

    claim = Claim(options.trace)
    try:
        door = Door()
        ring = make_ring(door.name)
        consumer = RingConsumer(ring)
        launch = Launch(options.kind, options.target, options.args, chaos=options.chaos, redact=options.redact)
        started = time.time()
        job = Job(launch.start, ring)
        os.close(ring)
    except BaseException:
        claim.release()
        raise
    with job:
        drain = _store(job, consumer, claim, launch, started, door)
        ended, number = job.reap()
        if drain is not None:
            _end(drain, ended, number, job.interrupted)
    if launch.redaction is not None and not options.quiet:
        say(redaction_line(launch.redaction, options.redact))
    closing = "" if drain is None else closing_line(drain, options.trace, launch.shown, time.time() - started)
    return Run(ended, number, drain, closing=closing, told_to_end=job.told_to_end)


def _store(job: Job, consumer: RingConsumer, claim: Claim, launch: Launch, started: float, door: Door) -> Drain | None:
    """Drains until the program is dead; None when storing could not even begin."""
    try:
        from retroscope.recorder.drain import Drain

        facts = launch.recording(started), launch.process(job.pid, started)
        drain = Drain(consumer, claim, *facts, door, launch.redaction)
        drain.run(job.descriptor, job.pass_on)
    except Exception as error:
        # Whatever fails here is our misfortune, not the program's: it goes on, unrecorded, and we say so.
        consumer.refuse()
        door.close()
        _confess(error)
        claim.release()
        return None
    return drain


def _end(drain: Drain, ended: str, number: int, interrupted: Callable[[], bool]) -> None:
    try:
        drain.finish(ended, number, interrupted)
    except Exception as error:
        _confess(error)


def _confess(error: Exception) -> None:
    if os.environ.get("SCOPE_DEBUG") == "1":
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    say(
        f"recording failed inside Retroscope ({type(error).__name__}: {error}); the program goes on unrecorded; "
        "`scope doctor` checks this machine, SCOPE_DEBUG=1 shows where it failed"
    )
