"""`scope events`: the inputs of a recorded process, one a line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from retroscope.cli.messages import OK, USER_ERROR, complain, printable
from retroscope.cli.recorded_values import Renderer
from retroscope.trace import open_trace
from retroscope.trace.stream import KIND_NAMES

if TYPE_CHECKING:
    import argparse

    from retroscope.trace import Record, TraceReader


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", metavar="TRACE", nargs="?", default="trace.db", help="a trace (default: trace.db)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--name", metavar="GLOB", action="append", help="only callables like this, such as 'time.*'")
    parser.add_argument(
        "--kind", metavar="KIND", action="append", choices=sorted(KIND_NAMES.values()),
        help="only records of this kind: " + ", ".join(sorted(KIND_NAMES.values())),
    )  # fmt: skip
    parser.add_argument("--from", dest="first", type=_count, metavar="N", default=0, help="begin with input N")
    parser.add_argument("--to", dest="last", type=_count, metavar="N", help="end with input N")
    parser.add_argument("--limit", type=_count, metavar="COUNT", help="show at most so many")
    parser.add_argument("--process", type=int, metavar="ID", help="a process of the trace (default: the first)")
    parser.add_argument("--show-secrets", action="store_true", help="do not redact passwords, tokens and keys")


def _count(text: str) -> int:
    from argparse import ArgumentTypeError

    if not text.isdecimal():
        raise ArgumentTypeError(f"a number from 0 on is needed, not {text!r}")
    return int(text)


def run(args: argparse.Namespace) -> int:
    with open_trace(args.trace) as trace:
        known = [process.id for process in trace.processes()]
        process = known[0] if args.process is None else args.process
        if process not in known:
            complain(f"{args.trace} has no process {process}; it has {', '.join(map(str, known))}")
            return USER_ERROR
        renderer = Renderer(secrets=args.show_secrets)
        show = _json_line if args.json else _line
        for record in _chosen(trace, process, args):
            sys.stdout.write(show(record, renderer) + "\n")
    return OK


def _chosen(trace: TraceReader, process: int, args: argparse.Namespace) -> Iterator[Record]:
    shown = 0
    for record in trace.records(process, max(args.first, 0)):
        if args.last is not None and record.index > args.last:
            return
        if args.limit is not None and shown >= args.limit:
            return
        if args.kind and record.kind_name not in args.kind:
            continue
        if args.name and not args.kind and record.kind_name == "define":
            continue  # it only gives a callable its number: who asks for a name wants its calls
        if args.name and not any(fnmatchcase(record.name, pattern) for pattern in args.name):
            continue
        shown += 1
        yield record


def _line(record: Record, renderer: Renderer) -> str:
    """`      17  time.time  1795358001.26`: number, callable or kind, value, output."""
    what = record.name or record.kind_name
    if record.name and record.kind_name != "result":
        what += f" ({record.kind_name})"
    line = f"{record.index:>8}  {what}  {renderer.text(record.value())}"
    output = record.output()
    if output is not None:
        stream = {1: "stdout", 2: "stderr"}.get(output[0], f"descriptor {output[0]}")
        line += f"  wrote to {stream}: {renderer.text(output[1])}"
    return printable(line)


def _json_line(record: Record, renderer: Renderer) -> str:
    shown: dict[str, object] = {
        "input": record.index,
        "kind": record.kind_name,
        "name": record.name or None,
        "digest": record.digest,
        "bytes": record.size,
        "value": renderer.json(record.value()),
    }
    output = record.output()
    if output is not None:
        shown["output"] = {"descriptor": output[0], **_as_object(renderer.json(output[1]))}
    return json.dumps(shown)


def _as_object(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value
