"""The course of a session: initialize, launch or attach, configurationDone, terminate, disconnect.

The order is the same for every client: `launch` records the program to its end, opens the trace, sends the
`initialized` event and is answered at once. So a client that waits for that answer before it sets breakpoints is
served as well as one that does not, and every breakpoint can be verified when it is set. `configurationDone` makes
the first stop.

Where the program takes longer than `ANSWER_AFTER`, `launch` is answered while it is still being recorded: clients show
how to stop a session, and cease to wonder whether there is an adapter at all, when they have that answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from retroscope.dap_adapter.arguments import Arguments
from retroscope.dap_adapter.breakpoints import EXCEPTION_FILTERS
from retroscope.dap_adapter.configuration import Launch, StopAt, View, read_attach, read_launch
from retroscope.dap_adapter.failure import RequestFailed
from retroscope.dap_adapter.motion import Motion, to_entry
from retroscope.dap_adapter.output import RecordedOutput
from retroscope.dap_adapter.recording import RecordCommand, Recording, new_trace_path, run_command
from retroscope.dap_adapter.session import Body, Handler, Reply, Request, Session, UrgentHandler
from retroscope.dap_adapter.sources import Sources
from retroscope.replay.api import TimelineApi
from retroscope.replay.moments import Breakpoint, Diverged, Moment, ReplayError, Tick
from retroscope.trace import TraceError

OpenTimeline = Callable[[Path, int], TimelineApi]
"""Of the process with this number; 0: of the first."""
"""Opens a trace; raises ReplayError, TraceError or OSError."""

ANSWER_AFTER = 1.5
"""Seconds. Programs that cannot be started have ended by then, so that a failed launch can be answered as one; Neovim
says after four that there is no answer."""
PROGRESS = "recording"
"""The protocol's progressId; a session records once."""

CAPABILITIES = {
    "supportsConfigurationDoneRequest": True,
    "supportsStepBack": True,
    "supportsConditionalBreakpoints": True,
    "supportsHitConditionalBreakpoints": True,
    "supportsLogPoints": True,
    "supportsFunctionBreakpoints": True,
    "supportsDataBreakpoints": True,
    "supportsGotoTargetsRequest": True,
    "supportsExceptionFilterOptions": True,
    "exceptionBreakpointFilters": list(EXCEPTION_FILTERS),
    "supportsExceptionInfoRequest": True,
    "supportsEvaluateForHovers": True,
    "supportsClipboardContext": True,
    "supportsCompletionsRequest": True,
    "completionTriggerCharacters": ["."],
    "supportsDelayedStackTraceLoading": True,
    "supportsLoadedSourcesRequest": True,
    "supportsTerminateRequest": True,
    "supportsCancelRequest": True,
}


class Lifecycle:
    def __init__(
        self,
        session: Session,
        motion: Motion,
        output: RecordedOutput,
        sources: Sources,
        open_timeline: OpenTimeline,
        record_command: RecordCommand,
    ) -> None:
        self._session = session
        self._motion = motion
        self._output = output
        self._sources = sources
        self._open_timeline = open_timeline
        self._record_command = record_command
        self._first_stop: Callable[[], None] | None = None
        self._recording: Recording | None = None
        self._without_debugging = False
        self._exit_status: int | None = None

    def requests(self) -> Mapping[str, Handler]:
        return {
            "initialize": self._initialize,
            "launch": self._launch,
            "attach": self._attach,
            "configurationDone": self._configuration_done,
            "terminate": self._terminate,
            "disconnect": self._disconnect,
        }

    def urgent(self) -> Mapping[str, UrgentHandler]:
        return {
            "terminate": self._end_recording,
            "disconnect": self._leave,
            "cancel": self._cancel,
            "evaluate": self._refuse_while_recording,
            "pause": self._pause,
        }

    def _initialize(self, arguments: Arguments) -> Body:
        if self._session.client:
            raise RequestFailed("'initialize' was sent twice")
        if arguments.get("pathFormat") not in (None, "path", "uri"):
            raise RequestFailed(f"the path format {arguments['pathFormat']!r} is not known; use 'path' or 'uri'")
        self._session.client = {**arguments, "adapterID": arguments.get("adapterID", "")}
        return CAPABILITIES

    def _launch(self, arguments: Arguments) -> Reply:
        self._refuse_a_second()
        launch = read_launch(arguments)
        self._without_debugging = launch.without_debugging
        if launch.without_debugging:
            return Reply(then=lambda: self._run_to_the_end(launch))
        trace = self._record(launch)
        self._open(trace, launch.view)
        self._output.has_been_seen()
        return Reply()

    def _attach(self, arguments: Arguments) -> Reply:
        self._refuse_a_second()
        attach = read_attach(arguments)
        self._open(attach.trace, attach.view, attach.process)
        return Reply()

    def _refuse_a_second(self) -> None:
        if self._session.is_open:
            raise RequestFailed("this session has a recording open already", show_user=True)

    def _record(self, launch: Launch) -> Path:
        """Runs the program under `scope record`; the trace's path. Whatever the program's end, a trace is a success."""
        trace = new_trace_path(launch)
        before = _identity(trace)
        self._session.say(f"Recording {launch.name} into {trace}")
        status = self._run(self._record_command(launch, trace), launch)
        if self._session.leaving.is_set():
            raise RequestFailed("the session was ended while the program was being recorded")
        if _identity(trace) == before:
            assert self._recording is not None
            reason = self._recording.last_error_line or f"'scope record' ended with status {status}"
            raise RequestFailed(f"{launch.name} could not be recorded: {_explain(reason, launch)}", show_user=True)
        self._exit_status = status
        self._session.say(f"{launch.name} ended with exit status {status}; replaying the recording")
        return trace

    def _run(self, command: Any, launch: Launch) -> int:
        """Runs a program to its end, its output going to the client; the exit status."""
        recording = self._recording = Recording(command, launch, self._show)
        statuses: list[int] = []

        def work() -> None:
            if not launch.without_debugging and not recording.ends_within(ANSWER_AFTER):
                self._session.answer_early()
                self._show_progress(launch, recording)
            statuses.append(recording.wait())

        self._session.interruption.during(recording.stop, work)
        return statuses[0]

    def _show_progress(self, launch: Launch, recording: Recording) -> None:
        """Until the program has ended, for clients that can show it."""
        if self._session.client.get("supportsProgressReporting") is not True:
            return
        how_to_end = "Cancel or Stop ends the program and opens what was recorded"
        body = {"progressId": PROGRESS, "title": f"Recording {launch.name}", "cancellable": True, "message": how_to_end}
        self._session.channel.event("progressStart", body)
        recording.wait()
        self._session.channel.event("progressEnd", {"progressId": PROGRESS})

    def _run_to_the_end(self, launch: Launch) -> None:
        self._session.channel.event("initialized")
        status = self._run(run_command(launch), launch)
        self._session.channel.event("exited", {"exitCode": status})
        self._session.channel.event("terminated")

    def _open(self, trace: Path, view: View, process: int = 0) -> None:
        try:
            timeline = self._open_timeline(trace, process)
        except (ReplayError, TraceError) as error:
            raise RequestFailed(str(error), show_user=True) from None
        except OSError as error:
            raise RequestFailed(f"{trace} cannot be opened: {error.strerror or error}", show_user=True) from None
        timeline.visible_only = view.just_my_code
        self._session.secrecy.shows_all = view.show_secrets
        timeline.on_message = self._say_message
        self._session.open(timeline)
        if timeline.warning:
            self._session.say(timeline.warning)
        self._first_stop = lambda: self._stop_first(view.stop_at)
        self._session.channel.event("initialized")

    def _configuration_done(self, _arguments: Arguments) -> Reply:
        first_stop, self._first_stop = self._first_stop, None
        return Reply(then=first_stop)

    def _stop_first(self, stop_at: StopAt) -> None:
        def journey(timeline: TimelineApi) -> Moment:
            if stop_at is StopAt.END:
                return timeline.goto_end()
            if stop_at is StopAt.FAILURE and self._exit_status != 0:
                try:
                    return timeline.goto_failure()
                except Diverged:
                    raise
                except ReplayError as none:
                    self._session.say(f"{none}; stopping at the entry")
            return to_entry(self._session.entry)(timeline)

        self._motion.move(journey)

    def _terminate(self, _arguments: Arguments) -> Reply:
        return Reply(then=self._report_end)

    def _report_end(self) -> None:
        if self._exit_status is not None:
            self._session.channel.event("exited", {"exitCode": self._exit_status})
        self._session.channel.event("terminated")

    def _under_way(self) -> Recording | None:
        """The recording, while the program runs."""
        recording = self._recording
        return None if self._session.is_open or recording is None or recording.is_over else recording

    def _end_recording(self, request: Request) -> bool:
        """While the program is being recorded, `terminate` ends the program only: then its recording is opened."""
        recording = self._under_way()
        if recording is None:
            self._session.interruption.for_good()
            return False
        recording.ask_to_stop()
        follows = "." if self._without_debugging else "; its recording will be opened."
        self._session.say(f"Asked the program to stop (as Ctrl-C does){follows}")
        self._session.channel.respond(request)
        return True

    def _cancel(self, request: Request) -> bool:
        """Cancelling the progress is another way to say `terminate`."""
        if (request.get("arguments") or {}).get("progressId") != PROGRESS:
            return self._session.cancel(request)
        if self._under_way() is not None:
            return self._end_recording(request)
        self._session.channel.respond(request)
        return True

    def _refuse_while_recording(self, _request: Request) -> bool:
        if self._under_way() is not None and self._without_debugging:
            raise RequestFailed("the program runs without being recorded: there is nothing to look at")
        if self._under_way() is not None:
            raise RequestFailed("the program is still being recorded: Stop ends it and opens its recording")
        return False

    def _pause(self, request: Request) -> bool:
        return self._refuse_while_recording(request) or self._motion.pause(request)

    def _leave(self, request: Request) -> bool:
        self._session.leave(request)
        return False

    def _disconnect(self, _arguments: Arguments) -> Reply:
        self._session.over = True
        return Reply()

    def _say_message(self, each: Breakpoint, tick: Tick, said: str) -> None:
        """A log point was passed: its text, with the place, and the tick where the protocol has room for more."""
        body: dict[str, Any] = {"category": "console", "output": said + "\n", "data": {"tick": int(tick)}}
        if each.path is not None and each.line is not None:
            body["source"] = self._sources.describe(each.path)
            body["line"] = self._session.line_to_client(each.line)
        self._session.channel.event("output", body)

    def _show(self, category: str, text: str) -> None:
        self._session.channel.event("output", {"category": category, "output": text})


def _identity(path: Path) -> tuple[int, int] | None:
    """Tells a file that was written just now from the one that lay there before."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def _explain(reason: str, launch: Launch) -> str:
    if "No module named 'retroscope'" in reason:
        return f"{launch.python} has no retroscope; install it there with '{launch.python} -m pip install retroscope'"
    return reason
