"""Programs that talk with a person at a terminal: input(), breakpoint()."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCOPE = str(Path(sys.executable).parent / "scope")
SECONDS = 60

ASKS = """\
import sys
print(sys.stdin.isatty(), sys.stdout.isatty())
print("got", input("> "))
import readline
print("got", input("> "))
"""

DEBUGS = """\
def double(x):
    y = x * 2
    breakpoint()
    return y + 1


print("result", double(20))
"""


class Terminal:
    """A program at a terminal of its own."""

    def __init__(self, command: list[str], environment: dict[str, str], folder: Path) -> None:
        self.process, self.descriptor = pty.fork()
        if self.process == 0:
            os.chdir(folder)
            os.execvpe(command[0], command, environment)
        self.shown = b""

    def read(self) -> bool:
        """Takes what came; False at the end."""
        assert select.select([self.descriptor], [], [], SECONDS)[0], f"nothing came after {self.shown!r}"
        try:
            data = os.read(self.descriptor, 4096)
        except OSError:  # how Linux tells that the other side is closed
            return False
        self.shown += data
        return bool(data)

    def answer(self, prompt: bytes, line: str) -> None:
        """Waits for the prompt behind everything that came, and types the line."""
        ends = time.monotonic() + SECONDS
        while not self.shown.endswith(prompt):
            assert self.read() and time.monotonic() < ends, self.shown
        os.write(self.descriptor, line.encode() + b"\n")
        self.shown += b"\0"

    def end(self) -> int:
        while self.read():
            pass
        os.close(self.descriptor)
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("text", "prompt", "answers", "printed"),
    [
        (ASKS, b"> ", ["Ada", "Bob"], ["True True", "got Ada", "got Bob"]),
        (DEBUGS, b"(Pdb) ", ["p x", "n", "p y + 1000", "w", "c"], ["20", "1040", "result 41"]),
    ],
    ids=["input", "pdb"],
)
def test_what_was_typed_is_recorded(
    text: str, prompt: bytes, answers: list[str], printed: list[str], unbuffered: str, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(text)
    trace = tmp_path / "trace.db"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "dumb", "PYTHONUNBUFFERED": unbuffered}
    terminal = Terminal([SCOPE, "record", "-q", "-o", str(trace), "program.py"], environment, tmp_path)
    for line in answers:
        terminal.answer(prompt, line)
    assert terminal.end() == 0, terminal.shown
    verified = subprocess.run(
        [SCOPE, "verify", str(trace), "--output"], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert verified.returncode == 0, verified.stderr
    assert [line for line in verified.stdout.splitlines() if line in printed] == printed
