"""The recorders that `rivals.py` compares: how each is installed, records, and answers.

Each lives in an environment of its own. What a recorder has no way to do is None; what fails raises, and the table
says so.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from debug_client import DebugClient, standing_at, step_back

SCOPE = Path(sys.executable).parent / "scope"
PROMPT = b"(chrono) "


class Failed(Exception):
    """The recorder could not do it; the message is its own last word."""


@dataclass(frozen=True)
class Session:
    """A recording of a program, made in `folder`."""

    folder: Path
    program: Path
    home: Path
    """Environment of the recorder."""

    def run(self, *command: str | Path, status: tuple[int, ...] = (0,)) -> str:
        """Standard output of a command; Failed with its last line when it ended with another status."""
        words = [str(word) for word in command]
        try:
            done = subprocess.run(words, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False)
        except subprocess.TimeoutExpired:
            raise Failed("did not end within 120 s") from None
        if done.returncode not in status:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise Failed(said[-1][:200] if said else f"ended with {done.returncode}")
        return done.stdout


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


class Recorder(ABC):
    """One of those compared. `name`: as on PyPI."""

    name = ""
    files: tuple[str, ...] = ()
    """What a recording consists of, as globs."""
    remark = ""

    @abstractmethod
    def record(self, session: Session, arguments: list[str]) -> str:
        """Runs and records; what the program printed to stdout, perhaps among words of the recorder."""

    def replayed(self, session: Session) -> str | None:
        """What the program prints when its recording is run again; None when it does not run again."""
        return None

    def browse(self, session: Session, line: int) -> tuple[float, float] | None:
        """Seconds until a stop at the last line can be shown, and of one step back from there."""
        return None

    def last_write(self, session: Session, line: int) -> float | None:
        """Seconds to find the line that wrote `ledger.opened`, seen from the last line."""
        return None

    def size(self, session: Session) -> int:
        """Bytes of the recording."""
        found = [path for pattern in self.files for path in session.folder.glob(pattern) if path.is_file()]
        return sum(path.stat().st_size for path in found)

    def version(self, home: Path) -> str:
        code = f"import importlib.metadata as m; print(m.version({self.name!r}))"
        done = subprocess.run([home / "bin/python", "-c", code], capture_output=True, text=True, check=True)
        return done.stdout.strip()


class WithAdapter(Recorder):
    """A recorder with a debug adapter."""

    @abstractmethod
    def adapter(self, session: Session) -> tuple[list[str | Path], dict[str, object]]:
        """Its command, and the request that opens the recording."""

    def browse(self, session: Session, line: int) -> tuple[float, float] | None:
        command, request = self.adapter(session)
        began = time.perf_counter()
        client = DebugClient(command, session.folder)
        try:
            thread = standing_at(client, session.program, line, **request)
            client.ask("stackTrace", threadId=thread, levels=1)
            opened = time.perf_counter() - began
            return opened, min(timed(lambda: step_back(client, thread)) for _ in range(5))
        finally:
            client.close()


class Retroscope(WithAdapter):
    name = "retroscope"
    files = ("trace.db",)

    def record(self, session: Session, arguments: list[str]) -> str:
        return session.run(SCOPE, "record", "-q", "-o", "trace.db", session.program, *arguments)

    def replayed(self, session: Session) -> str | None:
        return session.run(SCOPE, "verify", "--output", "trace.db")

    def adapter(self, session: Session) -> tuple[list[str | Path], dict[str, object]]:
        return [SCOPE, "dap"], {"kind": "attach", "trace": str(session.folder / "trace.db"), "stopOnEntry": True}

    def last_write(self, session: Session, line: int) -> float | None:
        import retroscope

        with retroscope.open(session.folder / "trace.db") as trace:
            *_, last = trace.hits(f"{session.program}:{line}")
            found = last.frame  # the timeline stands there
            return timed(lambda: found.moment.last_write("ledger.opened"))


class Retrace(WithAdapter):
    name = "retracesoftware"
    files = ("run.retrace",)

    def record(self, session: Session, arguments: list[str]) -> str:
        command = [session.home / "bin/retracepython", "--recording", "run.retrace", session.program]
        return session.run(*command, *arguments)

    def replayed(self, session: Session) -> str | None:
        session.run(session.home / "bin/replay", "--recording", "run.retrace", "--extract", "pidfiles")
        root = json.loads((session.folder / "pidfiles/index.json").read_text())["root"]["pid"]
        return session.run(session.home / "bin/replay", f"pidfiles/{root}.bin")

    def adapter(self, session: Session) -> tuple[list[str | Path], dict[str, object]]:
        command = [session.home / "bin/replay", "--recording", session.folder / "run.retrace", "--dap"]
        return command, {"kind": "launch", "recording": str(session.folder / "run.retrace")}


class PyTtDebug(Recorder):
    name = "py-tt-debug"
    files = ("run.db*",)

    def record(self, session: Session, arguments: list[str]) -> str:
        command = [session.home / "bin/pyttd", "record", "--db-path", "run.db", session.program]
        return session.run(*command, *(["--args", *arguments] if arguments else []))

    def browse(self, session: Session, line: int) -> tuple[float, float] | None:
        shown = timed(lambda: session.run(session.home / "bin/pyttd", "replay", "--last-run", "--db", "run.db"))
        return shown, float("nan")


class Chronotrace(Recorder):
    name = "chronotrace"
    files = ("run.chrono*",)
    remark = "browsed at its prompt; its last write is of a local variable, for it records no attribute writes"

    def record(self, session: Session, arguments: list[str]) -> str:
        command = [session.home / "bin/chronotrace", "record", "--out", "run.chrono", session.program]
        return session.run(*command, *arguments)

    def browse(self, session: Session, line: int) -> tuple[float, float] | None:
        home = session.home / "bin/chronotrace"
        hits = session.run(home, "query", "--line-hits", f"{session.program.name}:{line}", "run.chrono")
        at = hits.strip().splitlines()[-1].partition("]")[0].strip("[ ")
        began = time.perf_counter()
        prompt = subprocess.Popen(
            [home, "step", "run.chrono"], cwd=session.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            _until_prompt(prompt, b"")
            _until_prompt(prompt, f"g {at}\n".encode())
            opened = time.perf_counter() - began
            return opened, min(timed(lambda: _until_prompt(prompt, b"p\n")) for _ in range(5))
        finally:
            prompt.kill()
            prompt.wait()

    def last_write(self, session: Session, line: int) -> float | None:
        home = session.home / "bin/chronotrace"
        return timed(lambda: session.run(home, "query", "--last-write", "ledger@1000000000", "run.chrono"))


def _until_prompt(prompt: subprocess.Popen[bytes], words: bytes) -> None:
    assert prompt.stdin is not None and prompt.stdout is not None
    prompt.stdin.write(words)
    prompt.stdin.flush()
    seen = b""
    while not seen.endswith(PROMPT):
        part = prompt.stdout.read1(65536)  # type: ignore[attr-defined]
        if not part:
            raise Failed("its prompt ended")
        seen += part


class CodeTracer(Recorder):
    name = "codetracer-python-recorder"
    files = ("traced/*",)
    remark = "records only: what it writes is read by CodeTracer itself, which is no Python package"

    def record(self, session: Session, arguments: list[str]) -> str:
        python = session.home / "bin/python"
        return session.run(
            python, "-m", "codetracer_python_recorder", "--trace-dir", "traced", session.program, *arguments
        )


class PyChronicle(Recorder):
    name = "pychronicle"
    files = ("pychronicle_history.db*",)
    remark = "records only, as far as a script can see: it is read in a dashboard in the terminal; takes no arguments"

    def record(self, session: Session, arguments: list[str]) -> str:
        # It passes no arguments on, so the program gets them in a copy of its text.
        text = session.program.read_text().replace("sys.argv[1]", repr(arguments[0]))
        copy = session.folder / f"given_{session.program.name}"
        copy.write_text(text)
        return session.run(session.home / "bin/pychronicle", "trace", copy.name)


RECORDERS: tuple[Recorder, ...] = (
    Retroscope(), Retrace(), PyTtDebug(), Chronotrace(), CodeTracer(), PyChronicle(),
)  # fmt: skip
