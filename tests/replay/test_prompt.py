"""The prompt from a script: every command once, its text, and its exit statuses."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest
from retroscope.cli.prompt_commands import COMMANDS

from tests.replay.conftest import PROGRAMS, SCOPE, Recorder

DOCS = Path(__file__).parents[2] / "docs" / "prompt.md"


def scripted(trace: Path, *commands: str) -> subprocess.CompletedProcess[str]:
    options = [part for command in commands for part in ("-x", command)]
    return subprocess.run([SCOPE, "replay", str(trace), *options], capture_output=True, text=True, check=False)


def answers(trace: Path, *commands: str) -> str:
    done = scripted(trace, *commands)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def walked_trace(recorded: Recorder) -> Path:
    return recorded("walked")


def line_of(text: str) -> int:
    """The number of the first line of walked.py that contains `text`."""
    lines = (PROGRAMS / "walked.py").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_a_failure_and_the_way_to_it(walked_trace: Path) -> None:
    said = answers(walked_trace, "goto failure", "where", "print lookup", "args", "reverse-next", "tick").splitlines()
    assert re.fullmatch(
        r"exception: KeyError: 'b' raised here and never caught · tick \d+ · \S*walked\.py:\d+ in main", said[0]
    )
    assert said[1].endswith('->     return lookup["b"]')
    assert re.match(r"> #0  main  \S*walked\.py:\d+", said[2])
    assert re.match(r"  #1  <module>  \S*walked\.py:\d+", said[3])
    assert said[4:6] == ["{'a': 1}", "no arguments"]
    assert re.search(r'-> +lookup = \{"a": 1\}', said[7])
    assert re.fullmatch(r"tick \d+ of \d+, \d+ inputs used, thread 1", said[8])


def test_breakpoints_frames_and_locals(walked_trace: Path) -> None:
    line = line_of("raise ValueError")
    said = answers(
        walked_trace,
        f"break walked.py:{line} if amount > 40", "continue", "locals", "args", "up", "print amount", "down",
        "print amount", "break", "delete 1", "break", "list",
    )  # fmt: skip
    assert f"breakpoint 1 at walked.py:{line} if amount > 40\n" in said
    assert "\namount = 50\n" in said
    assert re.search(r"> #\d+  try_payments ", said)
    assert said.count("\n50\n") == 2
    assert f"\n1  walked.py:{line} if amount > 40\nno breakpoints\n" in said
    assert re.search(rf"\n +{line} -> +raise ValueError", said)


def test_every_motion_has_a_reverse(walked_trace: Path) -> None:
    def places(text: str) -> list[str]:
        return re.findall(r"tick (\d+)", text)

    there = places(answers(walked_trace, "break fibonacci if n == 4", "c", "s", "n", "s", "f"))
    back = places(answers(walked_trace, f"goto {there[-1]}", "rs", "break fibonacci if n == 4", "rc", "rf", "rn"))
    assert int(there[0]) < int(there[1]) < int(there[-1])
    assert int(back[1]) < int(back[0])
    assert back[2] == there[0]
    assert int(back[4]) < int(back[3]) < int(back[2])


def test_exceptions_output_and_inputs(walked_trace: Path) -> None:
    said = answers(
        walked_trace, "catch raised", "catch uncaught", "c", "c", "catch off", "output", "goto end", "output"
    )
    assert "exceptions that stop: raised\nexceptions that stop: raised, uncaught\n" in said
    assert "exception: ValueError: ada has only 40 raised here" in said
    assert "exception: KeyError: 'b' raised here" in said
    assert said.count("False 12 {'fig': 3") == 2
    assert said.count("KeyError: 'b'") == 2  # at the stop, and in the traceback that the program wrote
    inputs = answers(walked_trace, "inputs 0").splitlines()
    assert len(inputs) == 10
    assert [row.split()[0] for row in inputs] == [str(n) for n in range(10)]


def test_the_first_command_that_fails_ends_it(walked_trace: Path) -> None:
    for wrong, said in {
        "print missing": "NameError: name 'missing' is not defined",
        "nonsense": "there is no command 'nonsense'",
        "re": "there is no command 're'; it could be reverse-step, reverse-next",
        "goto 99999999": "there is no tick 99999999: the recording ends at tick",
        "goto input 99999999": "there is no input 99999999",
        "goto somewhere": "'somewhere' is not a tick",
        "goto 0": "ticks are counted from 1",
        "step 0": "'0' is not a number of times",
        "reverse-next -1": "'-1' is not a number of times; every motion has a reverse",
        "break elsewhere.py:3": "elsewhere.py did not run in this recording",
        "break walked.py:9999": "there is no code at or after line 9999",
        "break nothing": "no recorded source defines a function nothing",
        "break main if )": "the condition is not an expression",
        "break walked.py:": "walked.py: lacks the line: FILE:LINE",
        "delete 7": "there is no breakpoint 7",
        "thread 9": "there is no thread 9",
        "down": "this is the innermost frame",
    }.items():
        done = scripted(walked_trace, "tick", wrong, "tick")
        assert done.returncode == 1, wrong
        assert done.stdout.count("tick") == 1, wrong
        assert done.stderr.startswith(f"scope: {said}"), (wrong, done.stderr)
        assert "Traceback" not in done.stderr


def test_looking_does_not_change_the_past(walked_trace: Path) -> None:
    said = answers(walked_trace, "break Account.pay", "c", "print self.balance", "print setattr(self, 'balance', 0)",
                   "print self.balance = 1", "print self.balance", "print print('hello')")  # fmt: skip
    assert said.splitlines()[-4:] == ["60", "None", "60", "hello"]


def test_looking_cannot_reach_outside(walked_trace: Path) -> None:
    done = scripted(walked_trace, "print __import__('time').time()")
    assert done.returncode == 1
    assert "reaches outside the recording" in done.stderr


@pytest.mark.alone
def test_an_endless_expression_is_stopped(walked_trace: Path) -> None:
    began = time.monotonic()
    done = scripted(walked_trace, "print all(iter(int, 1))\n", "tick")
    done = scripted(walked_trace, "print [0 for _ in iter(int, 1)]")
    assert done.returncode == 1
    assert time.monotonic() - began < 30


def test_commands_come_from_a_pipe_too(walked_trace: Path) -> None:
    done = subprocess.run(
        [SCOPE, "replay", str(walked_trace)],
        input="goto end\n\nquit\ntick\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("the end: the program is over, exit status 1, after an uncaught KeyError · tick ")
    assert done.stdout.count("\n") == 1


def test_every_command_is_explained(walked_trace: Path) -> None:
    text = DOCS.read_text()
    listed = answers(walked_trace, "help")
    for command in COMMANDS:
        assert f"`{command.names[0]}" in text, f"{command.names[0]} is not in docs/prompt.md"
        assert command.names[0] in listed
        assert answers(walked_trace, f"help {command.names[0]}").startswith(command.names[0])


def test_a_program_of_the_library_is_shown_all_the_same(tmp_path: Path) -> None:
    trace = tmp_path / "t.db"
    command = [SCOPE, "record", "-q", "-o", str(trace), "-m", "json.tool"]
    subprocess.run(command, input=b'{"a": [1]}', capture_output=True, check=True)
    said = answers(trace, "break JSONDecoder.decode", "c", "next", "where", "print s")
    assert re.search(r"\n> #0  JSONDecoder\.decode  ", said)
    assert re.search(r"\n  #1  loads  ", said)
    assert said.endswith("'{\"a\": [1]}'\n")
    assert (
        "library, so all are shown"
        in subprocess.run(
            [SCOPE, "replay", str(trace), "-x", "thread"], capture_output=True, text=True, check=True
        ).stdout
    )


class Terminal:
    """`scope replay` at a terminal of its own."""

    def __init__(self, trace: Path, home: Path) -> None:
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            environment = {"PATH": os.environ["PATH"], "TERM": "xterm", "XDG_STATE_HOME": str(home)}
            os.execve(SCOPE, [SCOPE, "replay", str(trace)], environment)
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def wait_for(self, pattern: str, seconds: float = 20) -> str:
        """What is on the screen up to the first place where `pattern` matches; later calls look behind it."""
        deadline = time.monotonic() + seconds
        while not (match := re.search(pattern, self.seen, re.DOTALL)):
            assert time.monotonic() < deadline, f"{pattern!r} is not in {self.seen!r}"
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self.master, 65536).decode("utf-8", "replace")
                except OSError:
                    assert re.search(pattern, self.seen, re.DOTALL), self.seen
        found, self.seen = self.seen[: match.end()], self.seen[match.end() :]
        return found

    def close(self) -> int:
        """Its exit status, once it has closed the terminal."""
        with contextlib.suppress(OSError):
            while os.read(self.master, 65536):
                pass
        os.close(self.master)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_at_a_terminal(walked_trace: Path, tmp_path: Path) -> None:
    terminal = Terminal(walked_trace, tmp_path)
    terminal.wait_for(r"help.*\(scope\) ")
    terminal.type("break fibonacci\n")
    terminal.wait_for(r"breakpoint 1 at fibonacci.*\(scope\) ")
    terminal.type("goto fai\t\n")
    assert "\x1b[31m" in terminal.wait_for(r"\(scope\) ")  # a failure is red
    terminal.type("rn\n")
    terminal.wait_for(r"in main.*\(scope\) ")
    terminal.type("\n")
    terminal.wait_for(r"in main.*\(scope\) ")
    terminal.type("print acc\t\n")
    terminal.wait_for(r"print account")
    terminal.wait_for(r"\(scope\) ")
    terminal.type("p account = 1\n")
    terminal.wait_for(r"done in a copy that is gone; to let it run on: what-if account = 1")
    terminal.type("what-i acc\t = 1\n")  # a command that is shortened is completed all the same
    terminal.wait_for(r"what-i account = 1.*it runs to.*\(scope\) ")
    terminal.type("reverse-until walked.p\t33\n")
    terminal.wait_for(r"walked\.py:33.* in evens.*\(scope\) ")
    terminal.type("quit\n")
    terminal.wait_for(r"quit")
    assert terminal.close() == 0
    assert "goto fai" in (tmp_path / "retroscope" / "history").read_text()


def test_ctrl_c_ends_a_motion_but_not_the_session(recorded: Recorder, tmp_path: Path) -> None:
    terminal = Terminal(recorded("long"), tmp_path)
    terminal.wait_for(r"\(scope\) ")
    line = next(n for n, text in enumerate((PROGRAMS / "long.py").read_text().splitlines(), 1) if "total += " in text)
    terminal.type(f"break long.py:{line} if number == 99999 and total < 0\ncontinue\n")
    terminal.wait_for(r"breakpoint 1 at")
    time.sleep(0.5)
    terminal.type("\x03")
    terminal.wait_for(r"interrupted · tick \d+")
    terminal.type("tick\n")
    terminal.wait_for(r"tick \d+.*thread 1")
    terminal.type("quit\n")
    terminal.wait_for("quit")
    assert terminal.close() == 0


def test_ctrl_c_ends_a_script(recorded: Recorder) -> None:
    line = next(n for n, text in enumerate((PROGRAMS / "long.py").read_text().splitlines(), 1) if "total += " in text)
    never = f"break long.py:{line} if number == 99999 and total < 0"
    command = [SCOPE, "replay", str(recorded("long")), "-x", never, "-x", "continue", "-x", "locals"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("breakpoint 1")
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert "interrupted · tick" in out and "number = " not in out


def test_a_closed_pipe_ends_it_quietly(walked_trace: Path) -> None:
    process = subprocess.Popen(
        [SCOPE, "replay", str(walked_trace), *["-x", "where"] * 200], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.wait(30) == 141
    assert process.stderr.read() == b""
    process.stderr.close()


def test_places_by_their_hits_and_lines_of_output(recorded: Recorder) -> None:
    trace = recorded("walked")
    said = answers(trace, "tick", "log evens limit", "log walked.py:33 number", "tick")
    first, rest = said.split("\n", 1)
    assert [line.split()[-1] for line in rest.splitlines() if line.startswith("tick")][:8] == list("70123456")
    assert "1 hits\n" in rest and "7 hits\n" in rest
    assert rest.splitlines()[-1].split()[1] == first.split()[1].rstrip(",")
    assert "33 ->" in answers(trace, "goto hit 3 walked.py:33", "print number")
    assert answers(trace, "goto hit 3 walked.py:33", "print number").endswith("\n2\n")
    fourth = answers(trace, "goto hit 1 walked.py:33 if number == 4", "until walked.py:34", "print number")
    assert fourth.endswith("\n4\n")
    assert "print(text)" in answers(trace, "goto output 1")


def test_before_the_first_line_there_is_only_pythons_start(walked_trace: Path) -> None:
    said = answers(walked_trace, "rc", "s", "rc", "library on", "rc").splitlines()
    assert said[0].startswith("the beginning: the program begins here; only Python's own start-up is before")
    assert "walked.py:1 in <module>" in said[0]
    assert said[4].startswith("the beginning: the recording begins here · tick") and "walked.py:1" in said[4]
    assert "tick 1 " in said[7]


FORKS = """\
import os

for number in (1, 2):
    child = os.fork()
    if not child:
        total = number * 10
        os._exit(0)  # leave
    os.waitpid(child, 0)
"""


def test_other_processes_of_the_trace(tmp_path: Path) -> None:
    program, trace = tmp_path / "forks.py", tmp_path / "trace.db"
    program.write_text(FORKS)
    subprocess.run([SCOPE, "record", "-q", "-o", str(trace), str(program)], check=True)
    said = answers(
        trace, "break forks.py:7", "process 2", "c", "print total", "process 3", "c", "print total", "break",
        "process 1", "processes",
    ).splitlines()  # fmt: skip
    assert "process 2 was forked just before" in said[1]
    assert said[3].startswith("breakpoint 1 · tick") and said[5] == "10"
    assert "process 3 was forked just before" in said[6] and said[10] == "20"
    assert said[11] == "1  forks.py:7"
    assert [row[:5] for row in said[14:17]] == [">   1", "    2", "    3"]
    for wrong, sentence in {
        "process": "which one? process N", "process 1": "this is process 1", "process 7": f"{trace} has no process 7",
    }.items():  # fmt: skip
        failed = scripted(trace, wrong)
        assert failed.returncode == 1 and failed.stderr.startswith(f"scope: {sentence}")
