"""Hand-made traces for tests: what `make_trace` is told is what a reader must find."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from retroscope.trace.claim import Claim
from retroscope.trace.encoding import encode_value
from retroscope.trace.stream import Kind, RecordScanner, encode_record
from retroscope.trace.writer import ProcessWriter, TraceWriter

SOURCE = b"import time\nprint(time.time())\n"
FACTS: dict[str, object] = {
    "pid": 4711,
    "parent": None,
    "kind": "script",
    "target": "app.py",
    "argv": ["app.py", "--verbose"],
    "cwd": "/home/ada",
    "executable": "/usr/bin/python3",
    "python": "3.11.7",
    "started": 1795000000.0,
    "finished": 1795000002.5,
    "ended": ("exited", 3),
}
RECORDING: dict[str, object] = {
    "created": 1795000000.0,
    "retroscope": "0.1.0",
    "python": "3.11.7",
    "implementation": "cpython",
    "system": "Linux",
    "machine": "x86_64",
    "seed": 7,
    "chaos": False,
}


def source_record(path: str, content: bytes) -> bytes:
    return encode_record(Kind.SOURCE, encode_value((path, content, blake2b(content, digest_size=16).digest())))


def sample_records(count: int = 500) -> list[bytes]:
    """A stream with every kind that the trace lists; `count` clock readings."""
    records = [
        encode_record(Kind.START, encode_value({"argv": ["app.py"], "environ": [("HOME", "/home/ada")]})),
        encode_record(Kind.DEFINE, encode_value("time.time"), callable=1),
        encode_record(Kind.DEFINE, encode_value("_io.FileIO.write"), callable=2),
        source_record("/home/ada/app.py", SOURCE),
        encode_record(Kind.NOTE, encode_value("the extension fastlib is not listed")),
    ]
    for i in range(count):
        records.append(encode_record(Kind.RESULT, encode_value(1795000000.0 + i * 0.37), callable=1, digest=i))
        if i % 7 == 0:
            line = b"line %d\n" % i
            records.append(encode_record(Kind.RESULT, encode_value(len(line)), callable=2, output=(1 + i % 2, line)))
        if i % 50 == 0:
            records.append(encode_record(Kind.SWITCH, encode_value((1, i))))
    records.append(encode_record(Kind.END, encode_value({"status": 3})))
    return records


@dataclass
class Making:
    """A trace that is being written."""

    writer: TraceWriter
    process: ProcessWriter
    stream: bytes = b""
    pieces: list[bytes] = field(default_factory=list)

    def add(self, data: bytes) -> None:
        """More of the stream, committed at once."""
        self.process.append(data)
        self.writer.commit()
        self.stream += data


def begin(path: Path, **facts: object) -> Making:
    writer = TraceWriter(Claim(str(path)), dict(RECORDING))
    return Making(writer, writer.add_process(RecordScanner(), {**FACTS, **facts}))


def make_trace(path: Path, records: list[bytes] | None = None, piece: int = 4000) -> bytes:
    """A finished trace of one process, committed in pieces; returns its stream."""
    making = begin(path)
    stream = b"".join(sample_records() if records is None else records)
    for start in range(0, len(stream), piece):
        making.add(stream[start : start + piece])
    making.writer.close()
    return stream
