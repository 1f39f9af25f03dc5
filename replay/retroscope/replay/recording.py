"""What the controller needs to know of one recorded process before and while it is replayed."""

from __future__ import annotations

import tokenize
from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO

from retroscope.replay.moments import InputId, OutputChunk, ReplayError
from retroscope.trace import BrokenLineage, Kind, Part, Process, Source, TraceReader, open_trace

_STREAMS = {1: "stdout", 2: "stderr"}


@dataclass(frozen=True)
class Start:
    """The START record: how the process was started."""

    executable: str
    version: str
    hexversion: int
    argv: tuple[str, ...]
    flags: tuple[str, ...]
    cwd: str
    seed: int
    given_text: str | None
    """The program itself, when it was given with -c."""
    environ: tuple[tuple[str, str], ...]
    ignore_environment: bool
    """Whether -E or -I hid the PYTHON… variables from the interpreter."""

    @property
    def minor(self) -> str:
        """The version as people say it, for example 3.11."""
        return f"{self.hexversion >> 24}.{self.hexversion >> 16 & 0xFF}"


class Recording:
    """One process of an open trace."""

    def __init__(self, path: str, process: int | None = None, trace: TraceReader | None = None) -> None:
        """`process`: its number, default the first. `trace`: an open one, which then stays its owner's."""
        self._owned = trace is None
        self._trace: TraceReader = open_trace(path) if trace is None else trace
        self.path = path
        try:
            processes = self._trace.processes()
            wanted = processes[0].id if process is None else process
            known = {each.id: each for each in processes}
            if wanted not in known:
                raise ReplayError(f"{path} has no process {wanted}; it has {', '.join(map(str, sorted(known)))}")
            self.process = known[wanted]
            self._parts = _parts_of(self._trace, wanted)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._owned:
            self._trace.close()

    def other(self, process: int) -> Recording:
        """Another process of the same trace; it must be closed first."""
        return Recording(self.path, process, self._trace)

    def processes(self) -> list[Process]:
        """Every process of the trace, in order of start."""
        return self._trace.processes()

    @property
    def inputs(self) -> int:
        """Inputs of the process; those of a forked one begin with its parent's, up to the fork."""
        return self._parts[-1].first + self.process.records

    @property
    def first_input(self) -> int:
        """Number of the first that is its own: not 0 when it was forked."""
        return self._parts[-1].first

    @property
    def root(self) -> int:
        """The process with which a replay of this one begins."""
        return self._parts[0].process

    @property
    def ancestors(self) -> list[int]:
        """The processes whose streams begin its own, the first one first."""
        return [part.process for part in self._parts[:-1]]

    @property
    def cut_off(self) -> str | None:
        """Why the record ends before the program did, for a sentence; None when it is complete."""
        killed = self.process.ended == "signal"
        at_once = killed and self._start is None  # then what its recorder did says less
        if self.process.stopped and not at_once:
            return self.process.stopped
        if killed:
            return f"the process was killed by signal {self.process.number}"
        if self.process.ended == "replaced":
            return f"the process called exec and became process {self.process.number}"
        if self.process.ended == "running":
            return "the program is still running"
        return "the end was not seen" if self.process.ended == "lost" else self._replaced

    @cached_property
    def _replaced(self) -> str | None:
        """What says so when the program became another one: its recorder can only tell beforehand."""
        note = next((note for note in self.process.notes if note.startswith("the program called exec")), None)
        if note is None:
            return None
        *_, last = self._trace.records(self.process.id)
        return note if last.kind != Kind.END else None

    @property
    def most_memory(self) -> int:
        """Bytes that the program had in memory at most while it was recorded; 0: nobody knows."""
        most = self._trace.processes()[0].facts.get("most_memory")
        return most if isinstance(most, int) and most > 0 else 0

    @property
    def exit_status(self) -> int | None:
        """With which the recorded process exited by itself, else None."""
        return self.process.number if self.process.ended == "exited" else None

    @property
    def unborn(self) -> str | None:
        """Why there is nothing of the process to replay, for a sentence: it ended while its recorder started."""
        if self._start is not None or self.cut_off is None:
            return None
        killed = self.process.ended == "signal"  # then that the recorder did not start has its cause
        why = f"the process was killed by signal {self.process.number}" if killed else self.cut_off
        return f"{why} before the program had started"

    @cached_property
    def start(self) -> Start:
        """Raises ReplayError when the process ended before it had begun."""
        if self._start is not None:
            return self._start
        several = f"process {self.process.id} of " if len(self.processes()) > 1 else ""
        reason = self.unborn or "the record ends before the program had started; record it again"
        raise ReplayError(f"{several}{self.path} cannot be replayed: {reason}")

    @cached_property
    def _start(self) -> Start | None:
        for record in self._trace.records(self._parts[0].process):
            if record.kind == Kind.START:
                return _start_from(record.value(), self.path)
        return None

    def require_python(self) -> None:
        """Raises WrongPython when our native core is not for the Python that recorded."""
        self._trace.require_python()

    def flat(self, descriptor: int) -> None:
        """Writes all of what a replay goes through, from the start of the first ancestor, to `descriptor`."""
        for part in self._parts:
            self._trace.flat(part.process, descriptor, part.length)

    @property
    def flat_size(self) -> int:
        """How many bytes `flat` writes."""
        return sum(part.length for part in self._parts)

    def stream_own(self) -> Iterator[bytes]:
        """The process's own stream, piece by piece."""
        return self._trace.stream(self.process.id)

    def flat_own(self, descriptor: int) -> None:
        """Writes the process's own stream to `descriptor`."""
        self._trace.flat(self.process.id, descriptor)

    def source_paths(self) -> list[str]:
        given = ["<string>"] if self.start.given_text is not None else []
        return given + list(self._sources)

    @cached_property
    def _sources(self) -> dict[str, Source]:
        """As each file ran first."""
        found: dict[str, Source] = {}
        for source in self._trace.sources():
            found.setdefault(source.path, source)
        return found

    def source(self, path: str) -> str | None:
        """The text as recorded, decoded as Python would; None when it is not in the trace."""
        if path == "<string>":
            return self.start.given_text
        source = self._sources.get(path)
        if source is None:
            return None
        content = self._trace.source_content(source)
        try:
            encoding, _ = tokenize.detect_encoding(BytesIO(content).readline)
            return content.decode(encoding, "replace").replace("\r\n", "\n")
        except (SyntaxError, LookupError):
            return content.decode("utf-8", "replace")

    def output(self, before: int) -> Iterator[OutputChunk]:
        """What was written in inputs below `before`."""
        for part in self._parts:
            for output in self._trace.output(part.process):
                number = part.first + output.record
                if output.record >= part.records or number >= before:
                    break
                yield OutputChunk(_STREAMS.get(output.descriptor, "stdout"), output.data, InputId(number))

    def own_output(self) -> Iterator[OutputChunk]:
        """What the process itself wrote: not what its parent had written before it was forked."""
        return (chunk for chunk in self.output(self.inputs) if chunk.input >= self.first_input)

    def own_output_with_times(self) -> Iterator[tuple[OutputChunk, float | None]]:
        """The same, with the seconds of the machine's monotonic clock when it had been written; None: not known."""
        return zip(self.own_output(), self._trace.output_times(self.process.id), strict=True)

    def input_of_line(self, line: int) -> InputId:
        """The input that wrote the end of the `line`-th line of output, of both streams together; or ReplayError."""
        seen = 0
        for chunk in self.output(self.inputs):
            seen += chunk.data.count(b"\n")
            if seen >= line > 0:
                return chunk.input
        raise ReplayError(f"there is no line {line} of output; the program wrote {seen}")

    def input_values(self, first: int) -> Iterator[tuple[int, str, object]]:
        """(number, callable or kind, recorded value) of each record from `first` on."""
        return ((number, name or kind, value) for number, name, kind, value in self.records_from(first))

    def records_from(self, first: int) -> Iterator[tuple[int, str, str, object]]:
        """(number, callable or "", kind, recorded value) of each record from `first` on."""
        for part in self._parts:
            for record in self._trace.records(part.process, max(first - part.first, 0)):
                if record.index >= part.records:
                    break
                yield part.first + record.index, record.name, record.kind_name, record.value()

    def results_of(self, names: Container[str]) -> Iterator[tuple[int, str, object]]:
        """(number, callable, recorded result) of each call of the callables of these names; and of the recorder's own
        readings of the clock, ("" for the callable) Unix time."""
        for part in self._parts:
            for record in self._trace.records(part.process):
                if record.index >= part.records:
                    break
                if record.kind == Kind.RESULT and record.name in names:
                    yield part.first + record.index, record.name, record.value()
                elif record.kind == Kind.CLOCK and isinstance(value := record.value(), tuple) and value:
                    yield part.first + record.index, "", value[0]

    def results_of_calls(self, ending: str) -> Iterator[object]:
        """Each recorded result of the callables whose names end like this."""
        for part in self._parts:
            names = {name for name in self._trace.callables(part.process).values() if name.endswith(ending)}
            for record in self._trace.records(part.process) if names else ():
                if record.index >= part.records:
                    break
                if record.kind == Kind.RESULT and record.name in names:
                    yield record.value()

    @property
    def meta(self) -> dict[str, object]:
        """Facts of the whole recording: when, where and by what it was made."""
        return self._trace.meta

    def input_lines(self, first: int) -> Iterator[tuple[int, str, str]]:
        """(number, callable or kind, value) of each record from `first` on."""
        for number, name, value in self.input_values(first):
            yield number, name, _shown(value)


def _parts_of(trace: TraceReader, process: int) -> list[Part]:
    try:
        return trace.lineage(process)
    except BrokenLineage as broken:
        raise ReplayError(f"{trace.path}: process {process} cannot be replayed: {broken}") from broken


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:199] + "…"


def _start_from(value: object, path: str) -> Start:
    if not isinstance(value, dict):
        raise ReplayError(f"{path} does not say how the program was started; record it again")

    def text(name: str) -> str:
        found = value.get(name)
        return found if isinstance(found, str) else ""

    def number(name: str) -> int:
        found = value.get(name)
        return found if isinstance(found, int) else 0

    def texts(name: str) -> tuple[str, ...]:
        found = value.get(name)
        return tuple(map(str, found)) if isinstance(found, (list, tuple)) else ()

    environ = value.get("environ")
    pairs = [pair for pair in environ if isinstance(pair, (list, tuple))] if isinstance(environ, (list, tuple)) else []
    return Start(
        executable=text("executable"), version=text("version"), hexversion=number("hexversion"), argv=texts("argv"),
        flags=texts("flags"), cwd=text("cwd"), seed=number("seed"),
        given_text=text("target") if text("kind") == "code" else None,
        environ=tuple((str(pair[0]), str(pair[1])) for pair in pairs if len(pair) == 2),
        ignore_environment=bool(value.get("ignore_environment")) and not value.get("isolated_by_file"),
    )  # fmt: skip
