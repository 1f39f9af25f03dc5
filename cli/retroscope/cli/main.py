"""The command line: finds the command, imports only that one, and turns its errors into sentences.

Each command but `record` is a module of this package with `add_arguments(parser)` and `run(args) -> int`.
`record` starts with the user's program, so it has no room for argparse: it has `main(words) -> int`.
"""

from __future__ import annotations

import io
import os
import sys

from retroscope.cli import messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


class Command:
    """A command's place in the help."""

    __slots__ = ("example", "summary")

    def __init__(self, summary: str, example: str) -> None:
        self.summary = summary
        self.example = example


COMMANDS = {
    "record": Command("run a program and record it", "scope record app.py --port 8000"),
    "replay": Command("walk through a recorded run, forwards and backwards", "scope replay trace.db"),
    "verify": Command("run a recording again and check every input", "scope verify trace.db"),
    "info": Command("say what a trace is, how long, how big, and whether it is complete", "scope info trace.db --json"),
    "events": Command("list the inputs of a trace, one a line", "scope events trace.db --name 'time.*' --limit 20"),
    "export": Command(
        "write calls and lines for other programs: Perfetto, or JSON lines", "scope export trace.db --perfetto run.json"
    ),
    "index": Command(
        "note what every line did, so that questions about the past are answered at once", "scope index trace.db"
    ),
    "dap": Command("serve an editor with the Debug Adapter Protocol", "scope dap --port 4711"),
    "doctor": Command("check whether this machine can record and replay", "scope doctor"),
    "completion": Command("print a completion script for a shell", 'eval "$(scope completion bash)"'),
}


def main(words: list[str] | None = None) -> int:
    """Runs one command; `words` are those after `scope`. Returns the exit status."""
    status = _main(sys.argv[1:] if words is None else words)
    if words is None and sys.flags.inspect:  # PYTHONINSPECT is meant for the program: our interpreter would take it too
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        os._exit(status)
    return status


def _main(words: list[str]) -> int:
    command = words[0] if words else ""
    if sys.stdout is None and command != "record":  # it was closed: nobody wants what we say; a program finds it so
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for the rest of this process
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # what the terminal cannot show is no reason to fail
    try:
        status = _dispatch(command, words[1:])
        if sys.stdout is not None:  # it is None where the standard output is closed
            sys.stdout.flush()
    except BrokenPipeError:
        messages.silence_stdout()
        return messages.BROKEN_PIPE
    except KeyboardInterrupt:
        return messages.INTERRUPTED
    except Exception as error:
        return messages.explain(error, command)
    return status


def _dispatch(command: str, words: list[str]) -> int:
    if command == "record":
        from retroscope.cli import record

        return record.main(words)
    if command in ("-h", "--help", "help", ""):
        if command == "help" and words and words[0] in COMMANDS:
            return _dispatch(words[0], ["--help"])
        return _help(command)
    if command in ("-V", "--version"):
        sys.stdout.write(f"scope {version()} (Python {sys.version.split()[0]})\n")
        return messages.OK
    if command not in COMMANDS:
        return _unknown(command)
    return _run(command, words)


def _run(command: str, words: list[str]) -> int:
    module = __import__(f"retroscope.cli.{command}", fromlist=["run"])
    parser = make_parser(command)
    module.add_arguments(parser)
    try:
        args = parser.parse_args(words)
    except SystemExit as ended:  # argparse has said what it had to say
        return ended.code if isinstance(ended.code, int) else messages.USAGE
    status = module.run(args)
    return status if isinstance(status, int) else messages.OK


def make_parser(command: str) -> argparse.ArgumentParser:
    """An argparse parser with the command's summary and example, but without its arguments."""
    import argparse

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> None:  # type: ignore[override]
            self.exit(messages.USAGE, f"{self.prog}: {message}; see `{self.prog} --help`\n")

    about = COMMANDS[command]
    summary = about.summary[0].upper() + about.summary[1:] + "."
    return Parser(prog=f"scope {command}", description=summary, epilog=f"example: {about.example}", allow_abbrev=False)


def _help(command: str) -> int:
    width = max(map(len, COMMANDS))
    lines = ["usage: scope COMMAND [ARGUMENTS…]", "", "Record a Python program once, replay it exactly, and walk back."]
    lines.append("")
    for name, about in COMMANDS.items():
        lines += [f"  {name:<{width}}  {about.summary}", f"  {'':<{width}}    {about.example}"]
    lines += ["", "`scope COMMAND --help` describes a command; `scope --version` says which Retroscope this is.", ""]
    (sys.stdout if command else sys.stderr).write("\n".join(lines))
    return messages.OK if command else messages.USAGE


def _unknown(command: str) -> int:
    import difflib

    close = difflib.get_close_matches(command, COMMANDS, n=1)
    if close:
        hint = f"did you mean `scope {close[0]}`?"
    elif command.endswith(".py"):
        hint = f"to record it: scope record {command}"
    else:
        hint = "`scope --help` lists the commands"
    messages.complain(f"there is no command {command!r}; {hint}")
    return messages.USAGE


def version() -> str:
    """The version of the installed distribution."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("retroscope")
    except PackageNotFoundError:
        return "of a source tree"


if __name__ == "__main__":
    sys.exit(main())
