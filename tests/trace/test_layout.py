"""The layout of a trace changes only together with TRACE_VERSION.

When `test_the_layout_is_that_of_its_version` fails: if bytes in a trace now differ, raise TRACE_VERSION, describe the
change in docs/trace-format.md, add a golden trace of the new version (`python -m tests.trace.test_layout`, which
refuses to replace one) and the new digest here.
"""

from __future__ import annotations

import json
import struct
import sys
from hashlib import blake2b
from pathlib import Path

import pytest
from retroscope.trace import Kind, layout, open_trace, stream, values
from retroscope.trace.encoding import encode_value

from tests.trace.making import make_trace, sample_records

LAYOUTS = {
    1: "a7107f71ba4433dd9f3068e44aa4bf9b",
    2: "fbcd4d37aae227255d5503d8b1aaad8b",
    3: "0d128073f4c81098f292f1faa3777613",
}
GOLDEN = Path(__file__).parent / "golden"
VERSIONS = sorted(GOLDEN.glob("version-*.trace"))
EXAMPLES = [None, True, False, 5, 1 << 70, 0.5, 1j, "é", b"x", bytearray(b"y"), (1,), [2], {3: 4}, {5}, frozenset({6})]


def description() -> str:
    """Everything that decides about bytes in a trace, one a line."""
    packed = {f"{home.__name__}.{name}": each for home in (layout, stream) for name, each in vars(home).items()}
    lines = [f"{name} {each.format}" for name, each in packed.items() if isinstance(each, struct.Struct)]
    lines += [f"{name} {each!r}" for name, each in packed.items() if isinstance(each, bytes) and name != "__doc__"]
    lines += [f"encoding {name} {each}" for name, each in vars(layout).items() if name.startswith("ENCODING_")]
    lines += [f"kind {name} {each}" for name, each in vars(Kind).items() if name.isupper()]
    lines += [f"value {chr(mark)}" for mark in sorted(values._SCALARS | values._CONTAINERS)]
    lines += [f"example {example!r} {encode_value(example).hex()}" for example in EXAMPLES]
    lines += [f"framed {layout.frame(b'table', b'key', b'body').hex()}"]
    lines += [f"record {stream.encode_record(Kind.RESULT, b'N', callable=1, digest=2, output=(1, b'out')).hex()}"]
    return "\n".join(sorted(lines))


def contents(path: Path) -> dict[str, object]:
    """What a trace holds, as JSON can say it."""
    with open_trace(path) as trace:
        process = trace.process(1)
        return {
            "state": trace.state,
            "meta": trace.meta,
            "facts": json.loads(json.dumps(process.facts)),
            "stream": blake2b(b"".join(trace.stream(1)), digest_size=16).hexdigest(),
            "records": [[each.index, each.offset, each.kind_name, each.name, repr(each.value())]
                        for each in trace.records(1)],
            "output": [[each.record, each.descriptor, each.data.decode()] for each in trace.output(1)],
            "switches": [list(each) for each in trace.switches(1)],
            "sources": [[each.path, each.hash.hex(), trace.source_content(each).decode()] for each in trace.sources()],
        }  # fmt: skip


def test_the_layout_is_that_of_its_version() -> None:
    digest = blake2b(description().encode(), digest_size=16).hexdigest()
    assert digest == LAYOUTS.get(layout.TRACE_VERSION), description()


def test_there_is_a_golden_trace_of_every_readable_version() -> None:
    readable = range(layout.OLDEST_READABLE, layout.TRACE_VERSION + 1)
    assert [path.name for path in VERSIONS] == [f"version-{version}.trace" for version in readable]


@pytest.mark.parametrize("path", VERSIONS, ids=lambda path: path.stem)
def test_a_golden_trace_reads_as_ever(path: Path) -> None:
    assert contents(path) == json.loads(path.with_suffix(".json").read_text())


def test_a_trace_written_now_has_the_same_tables(tmp_path: Path) -> None:
    make_trace(tmp_path / "now.db", sample_records(60), piece=900)
    now, then = contents(tmp_path / "now.db"), contents(VERSIONS[-1])
    assert now == then


def main() -> None:
    path = GOLDEN / f"version-{layout.TRACE_VERSION}.trace"
    if path.exists():
        sys.exit(f"{path} exists; a golden trace is never replaced")
    make_trace(path, sample_records(60), piece=900)
    path.chmod(0o644)
    path.with_suffix(".json").write_text(json.dumps(contents(path), indent=1) + "\n")
    print(blake2b(description().encode(), digest_size=16).hexdigest())


if __name__ == "__main__":
    main()
