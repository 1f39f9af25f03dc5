"""`scope info`: what a trace is, how long, how big, and whether it is complete."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from retroscope.cli.messages import OK, printable
from retroscope.recorder.closing import bytes_text, duration
from retroscope.trace import Kind, open_trace
from retroscope.trace.index_reader import UnusableIndex, index_summaries
from retroscope.trace.secrets import redact, redact_words

if TYPE_CHECKING:
    import argparse

    from retroscope.trace import Process, TraceReader

_LONGEST_COMMAND = 60
_MOST_BEFORE_START = 20  # records looked at to find how the process was started


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", metavar="TRACE", nargs="?", default="trace.db", help="a trace (default: trace.db)")
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    parser.add_argument("--show-secrets", action="store_true", help="do not redact passwords, tokens and keys")


def run(args: argparse.Namespace) -> int:
    with open_trace(args.trace) as trace:
        facts = describe(trace, secrets=args.show_secrets)
    if args.json:
        json.dump(facts, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        sys.stdout.write("\n".join(_lines(facts)) + "\n")
    return OK


def describe(trace: TraceReader, *, secrets: bool) -> dict[str, object]:
    """Everything that `scope info` knows, ready for JSON."""
    meta = trace.meta
    sources = trace.sources()
    return {
        "trace": trace.path,
        "state": trace.state,
        "reason": trace.reason,
        "bytes": trace.size,
        "created": meta.get("created"),
        "retroscope": meta.get("retroscope"),
        "python": meta.get("python"),
        "implementation": meta.get("implementation"),
        "system": f"{meta.get('system')} {meta.get('machine')}",
        "hash_seed": meta.get("seed"),
        "chaos": bool(meta.get("chaos")),
        "chaos_seed": meta.get("chaos_seed"),
        "redacted": meta.get("redacted") or [],
        "sources": len({(source.path, source.hash) for source in sources}),
        "inputs": sum(process.records for process in trace.processes()),
        "index": _indexes(trace.path),
        "processes": [_process(trace, process, secrets=secrets) for process in trace.processes()],
    }


def _indexes(path: str) -> dict[str, object]:
    """Of each process that has an index, by its number: how far it is and how big; or why it is not used."""
    try:
        summaries = index_summaries(path)
    except UnusableIndex as error:
        return {"unusable": error.why}
    return {
        str(process): {"ticks": each.ticks, "complete": each.complete, "all_code": each.all_code, "bytes": each.bytes}
        for process, each in summaries.items()
    }


def _process(trace: TraceReader, process: Process, *, secrets: bool) -> dict[str, object]:
    output = {1: 0, 2: 0}
    for descriptor, size in trace.output_sizes(process.id):
        output[descriptor] = output.get(descriptor, 0) + size
    argv = list(process.argv)
    return {
        "id": process.id,
        "pid": process.pid,
        "parent": process.parent,
        "forked": process.forked is not None,
        "replaced_by": process.number if process.ended == "replaced" else None,
        "argv": argv if secrets else redact_words(argv),
        "directory": process.cwd,
        "executable": process.executable,
        "python": process.python,
        "started": process.started,
        "finished": process.finished,
        "ended": process.ended,
        "replaced": process.replaced,
        "status": process.number if process.ended == "exited" else None,
        "signal": process.number if process.ended == "signal" else None,
        "stopped": process.stopped,
        "inputs": process.records,
        "stream_bytes": process.length,
        "stdout_bytes": output[1],
        "stderr_bytes": output[2],
        "notes": [note if secrets else redact(note) for note in process.notes],
        "environment": _environment(trace, process.id, secrets=secrets),
    }


def _environment(trace: TraceReader, process: int, *, secrets: bool) -> dict[str, str]:
    """The environment that the process was started with, as far as it is in the trace."""
    from retroscope.cli.recorded_values import Renderer

    for record in trace.records(process):
        if record.kind == Kind.START:
            value = record.value()
            environ = value.get("environ") if isinstance(value, dict) else None
            pairs = dict(_pairs(environ))
            shown = Renderer(secrets=secrets).json(dict(sorted(pairs.items())))
            return {name: str(text) for name, text in shown.items()} if isinstance(shown, dict) else {}
        if record.index >= _MOST_BEFORE_START:
            break
    return {}


def _pairs(environ: object) -> list[tuple[str, str]]:
    items = environ.items() if isinstance(environ, dict) else environ if isinstance(environ, (list, tuple)) else ()
    return [(_text(pair[0]), _text(pair[1])) for pair in items if isinstance(pair, (list, tuple)) and len(pair) == 2]


def _text(value: object) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


# --- for people


def _lines(facts: dict[str, object]) -> list[str]:
    processes = facts["processes"]
    assert isinstance(processes, list)
    many = f" in {len(processes)} processes" if len(processes) > 1 else ""
    lines = [
        f"{facts['trace']}: {_state(facts)}",
        f"  recorded   {_moment(facts['created'])}, Python {facts['python']}, {facts['system']}, "
        f"Retroscope {facts['retroscope']}",
        f"  size       {_count(facts['inputs'], 'input')}{many}, {_size(facts['bytes'])} in the file",
        f"  sources    {_count(facts['sources'], 'file')} kept in the trace",
    ]
    lines += _index_lines(facts["index"], bool(many))
    redacted = facts["redacted"]
    if isinstance(redacted, list) and redacted:
        lines.append(f"  redacted   {', '.join(map(str, redacted))}: stand-ins are in their place")
    if many:
        lines += ["  processes", *_tree(processes)]
    for process in processes:
        lines += _process_lines(process, title=f"process {process['id']}" if many else "program")
    first = processes[0]
    if first["inputs"]:
        lines.append(f"  next       scope replay {facts['trace']}")
    return [printable(line) for line in lines]


def _index_lines(indexes: object, several: bool) -> list[str]:
    assert isinstance(indexes, dict)
    if "unusable" in indexes:
        return [f"  index      not used: {indexes['unusable']}; `scope index --rebuild` makes a new one"]
    lines = []
    for process, facts in indexes.items():
        whose = f"process {process}: " if several else ""
        how = "" if facts["complete"] else "not complete, `scope index` goes on with it; "
        code = ", library code in full" if facts["all_code"] else ""
        lines.append(f"  index      {whose}{how}{_count(facts['ticks'], 'tick')} in {_size(facts['bytes'])}{code}")
    return lines


def _process_lines(process: dict[str, object], title: str) -> list[str]:
    argv, notes = process["argv"], process["notes"]
    assert isinstance(argv, list) and isinstance(notes, list)
    lines = [f"  {title:<10} {' '.join(map(str, argv))}", *_descent(process)]
    lines += [
        f"  directory  {process['directory']}",
        f"  ended      {_ending(process)}",
        f"  stream     {_count(process['inputs'], 'input')}, {_size(process['stream_bytes'])}; wrote "
        f"{_size(process['stdout_bytes'])} to stdout, {_size(process['stderr_bytes'])} to stderr",
    ]
    return lines + [f"  note       {note}" for note in notes]


def _descent(process: dict[str, object]) -> list[str]:
    """Where a process comes from that is not the program itself."""
    if process["parent"] is None:
        return []
    how = "forked" if process["forked"] else "started"
    return [f"  pid        {process['pid']}, {how} by process {process['parent']}"]


def _tree(processes: list[dict[str, object]], parent: object = None, depth: int = 0) -> list[str]:
    """Who came from whom, one a line."""
    lines = []
    for process in processes:
        if process["parent"] == parent:
            argv = process["argv"]
            assert isinstance(argv, list)
            words = "forked" if process["forked"] else " ".join(map(str, argv)).replace("\n", " ")
            shown = words if len(words) <= _LONGEST_COMMAND else words[: _LONGEST_COMMAND - 1] + "…"
            lines.append(f"    {'  ' * depth}{process['id']} {shown} · pid {process['pid']} · {_ending(process)}")
            lines += _tree(processes, process["id"], depth + 1)
    return lines


def _state(facts: dict[str, object]) -> str:
    return {
        "complete": "complete",
        "recording": "being recorded now; this is how far it is",
        "stopped": f"stopped before the program ended ({facts['reason']}); good up to there",
        "cut off": "cut off: the recording process was killed; good up to its last commit",
    }.get(str(facts["state"]), str(facts["state"]))


def _ending(process: dict[str, object]) -> str:
    started, finished = process["started"], process["finished"]
    after = ""
    if isinstance(started, float) and isinstance(finished, float):
        after = f" after {duration(finished - started)}"
    if process["stopped"]:
        after += f"; storing stopped before that: {process['stopped']}"
    ended = process["ended"]
    if ended == "exited":
        return f"with exit status {process['status']}{after}"
    if ended == "signal":
        return f"killed by {_signal_name(process['signal'])}{after}"
    if ended == "replaced":
        return f"became process {process['replaced_by']}{after}"
    if process["replaced"]:
        return f"became another program, which is not recorded{after}"
    if ended == "running":
        return "not yet, it is running"
    return f"not seen{after}"


def _signal_name(number: object) -> str:
    import signal

    try:
        return signal.Signals(int(str(number))).name
    except ValueError:
        return f"signal {number}"


def _count(number: object, noun: str) -> str:
    assert isinstance(number, int)
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _size(size: object) -> str:
    assert isinstance(size, int)
    return bytes_text(size)


def _moment(created: object) -> str:
    if not isinstance(created, float):
        return "at an unknown time"
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(created))
    except (ValueError, OverflowError):
        return "at an unknown time"
