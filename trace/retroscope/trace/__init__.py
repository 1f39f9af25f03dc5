"""The trace file: the only room that knows its format.

In: raw input streams of recorded processes, from the drain. Out: what is in a trace, checked on every read.
It imports nothing else of Retroscope, never unpickles, never trusts a size or an offset that the file states,
and answers a damaged file with one sentence (`TraceError`). The format: docs/trace-format.md.

Everything is loaded on first use, because the drain starts with every recording.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from retroscope.trace.errors import (
        BusyTrace,
        DamagedTrace,
        FutureTrace,
        NotATrace,
        NoTrace,
        OldTrace,
        RefusedPath,
        RetroscopeError,
        TraceError,
        WrongPython,
    )
    from retroscope.trace.layout import TRACE_VERSION
    from retroscope.trace.lineage import BrokenLineage, Part
    from retroscope.trace.process import Process
    from retroscope.trace.reader import Output, Source, TraceReader, open_trace
    from retroscope.trace.records import Record
    from retroscope.trace.stream import Kind

_HOMES = {
    "BrokenLineage": "lineage",
    "BusyTrace": "errors",
    "DamagedTrace": "errors",
    "FutureTrace": "errors",
    "Kind": "stream",
    "NoTrace": "errors",
    "NotATrace": "errors",
    "OldTrace": "errors",
    "Output": "reader",
    "Part": "lineage",
    "Process": "process",
    "Record": "records",
    "RefusedPath": "errors",
    "RetroscopeError": "errors",
    "Source": "reader",
    "TRACE_VERSION": "layout",
    "TraceError": "errors",
    "TraceReader": "reader",
    "WrongPython": "errors",
    "open_trace": "reader",
}

__all__ = [
    "TRACE_VERSION",
    "BrokenLineage",
    "BusyTrace",
    "DamagedTrace",
    "FutureTrace",
    "Kind",
    "NoTrace",
    "NotATrace",
    "OldTrace",
    "Output",
    "Part",
    "Process",
    "Record",
    "RefusedPath",
    "RetroscopeError",
    "Source",
    "TraceError",
    "TraceReader",
    "WrongPython",
    "open_trace",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(__import__(f"{__name__}.{home}", fromlist=[name]), name)
