"""Reads everything that a trace holds and prints a digest of it: run in a process of its own on damaged files.

    python reading.py            file names on stdin, one a line; one answer a line:
    ok DIGEST | TraceError's class name

Anything else (a traceback, a crash, silence) is a failure of the reader.
"""

from __future__ import annotations

import sys
from hashlib import blake2b

from retroscope.trace import TraceError, open_trace


def everything(path: str) -> str:
    """A digest of all that can be read."""
    digest = blake2b(digest_size=16)

    def take(*things: object) -> None:
        digest.update(repr(things).encode("utf-8", "surrogatepass"))

    with open_trace(path) as trace:
        take(trace.state, trace.reason, trace.meta)
        for process in trace.processes():
            take(process, process.facts)
            for piece in trace.stream(process.id):
                digest.update(piece)
            for record in trace.records(process.id):
                take(record.index, record.kind_name, record.name, record.value(), record.output())
            for record in trace.records(process.id, process.records // 2):
                take(record.index, record.offset)
            for output in trace.output(process.id):
                take(output)
            take(list(trace.switches(process.id)), trace.callables(process.id))
        for source in trace.sources():
            take(source, trace.source_content(source))
    return digest.hexdigest()


def main() -> None:
    for line in sys.stdin:
        try:
            answer = f"ok {everything(line.rstrip())}"
        except TraceError as error:
            assert str(error).count("\n") == 0 and line.rstrip() in str(error), error
            answer = type(error).__name__
        print(answer, flush=True)


if __name__ == "__main__":
    main()
