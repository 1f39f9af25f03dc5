"""The seal: what ctypes tries behind the recorder's back is refused and named."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.native.driving import END, HERE, READY, SEALED, Debuggee

HEAD = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"


def run(tmp_path: Path, statement: str, head: str = HEAD) -> tuple[int, str]:
    program = tmp_path / "program.py"
    program.write_text(f"{head}\ndef attempt():\n    {statement}\n\nattempt()\nafter = True\n")
    with Debuggee(program) as debuggee:
        stopped = debuggee.run()
        if stopped.reason == SEALED:
            assert debuggee.look("frame.f_code.co_name") == "'attempt'"
            assert debuggee.run().reason == SEALED
        return stopped.reason, stopped.text


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("libc.socket(2, 1, 0)", "socket(AF_INET)"),
        ("libc.socket(1, 1, 0)", "socket(AF_UNIX)"),
        ("libc.open(b'TARGET', 0o101, 0o600)", 'openat("TARGET")'),
        ("libc.open(b'PRESENT', 1)", 'openat("PRESENT")'),
        ("libc.open(b'PRESENT', 0o2000)", 'openat("PRESENT")'),
        ("libc.creat(b'TARGET', 0o600)", 'creat("TARGET")'),
        ("libc.fopen(b'TARGET', b'w')", 'openat("TARGET")'),
        ("libc.unlink(b'PRESENT')", 'unlink("PRESENT")'),
        ("libc.rename(b'PRESENT', b'TARGET')", 'rename("PRESENT")'),
        ("libc.mkdir(b'TARGET', 0o700)", 'mkdir("TARGET")'),
        ("libc.truncate(b'PRESENT', ctypes.c_long(0))", 'truncate("PRESENT")'),
        ("libc.chmod(b'PRESENT', 0)", 'chmod("PRESENT")'),
        ("libc.unlink(1)", "unlink(a bad pointer)"),
        ("libc.execv(b'/bin/true', (ctypes.c_char_p * 2)(b'true'))", 'execve("/bin/true")'),
        ("libc.fork()", "fork()"),
        ("libc.vfork()", "fork()"),
        ("libc.kill(PID, 9)", "kill()"),
        ("libc.ptrace(16, PID, 0, 0)", "ptrace()"),
        ("libc.syscall(ctypes.c_long(437), -100, b'TARGET', None, ctypes.c_long(0))", 'openat2("TARGET")'),
        ("libc.syscall(ctypes.c_long(57))", "fork()"),
        ("libc.prlimit(PID, 7, None, None)", "prlimit64()"),
        ("libc.fcntl(0, 8, PID)", "fcntl()"),
        ("libc.setuid(1)", "setuid()"),
        ("libc.personality(0)", "personality()"),
        ("libc.ioctl(0, ctypes.c_ulong(0x5412), b'x')", "ioctl()"),
    ],
)
def test_what_reaches_outside_is_refused_and_named(tmp_path: Path, statement: str, named: str) -> None:
    target, present = tmp_path / "target", tmp_path / "present"
    present.write_text("kept")
    statement, named = (
        text.replace("TARGET", str(target)).replace("PRESENT", str(present)).replace("PID", str(os.getpid()))
        for text in (statement, named)
    )
    reason, text = run(tmp_path, statement)
    assert reason == SEALED
    assert f"the system call {named}, which was not recorded" in text.replace("vfork", "fork")
    stack = [line.strip() for line in text.splitlines()[2:]]
    program = tmp_path / "program.py"
    assert stack[-2:] == [f'File "{program}", line 7, in <module>', f'File "{program}", line 5, in attempt']
    assert not target.exists()
    assert present.read_text() == "kept"
    assert present.stat().st_mode & 0o777


@pytest.mark.parametrize(
    "statement",
    [
        "assert open(__import__('os').devnull, 'rb').read() == b''",
        "assert libc.open(b'/dev/null', 0) > 0",
        "assert libc.getpid() > 0 and libc.dup(0) > 0",
        "assert bytearray(1 << 26)",
        "assert libc.prctl(15, b'name', 0, 0, 0) == 0",
        "assert __import__('resource').getrlimit(7)[0] > 0",
        "assert libc.syscall(ctypes.c_long(463)) == -1 and ctypes.get_errno() == 38",
    ],
)
def test_reading_and_computing_go_on(tmp_path: Path, statement: str) -> None:
    reason, text = run(tmp_path, statement)
    assert (reason, '"uncaught": null' in text) == (END, True)


@pytest.mark.parametrize(
    "statement",
    [
        "assert libc.pthread_create(ctypes.byref(ctypes.c_long()), None, libc.pause, None) == 11",
        "assert libc.system(b'touch TARGET') != 0",
    ],
)
def test_threads_and_programs_do_not_start(tmp_path: Path, statement: str) -> None:
    reason, text = run(tmp_path, statement.replace("TARGET", str(tmp_path / "target")))
    assert (reason, '"uncaught": null' in text) == (END, True)
    assert not (tmp_path / "target").exists()


def test_while_looking_a_refused_call_only_fails(tmp_path: Path) -> None:
    program, target = tmp_path / "program.py", tmp_path / "target"
    program.write_text(f"{HEAD}here = 1\n")
    with Debuggee(program) as debuggee:
        debuggee.run()
        names = "__import__('ctypes').CDLL(None, use_errno=True)"
        assert debuggee.look(f"{names}.open({str(target)!r}.encode(), 0o101, 0o600)") == "-1"
        assert debuggee.look(f"open({str(target)!r}, 'w')").startswith("PermissionError")
        assert debuggee.look(f"os.system('touch {target}')") != "0"
        assert not target.exists()


def test_a_seal_inside_a_call_that_gave_up_the_gil(tmp_path: Path) -> None:
    """ctypes.CDLL functions run without the GIL; the looker must take it."""
    program = tmp_path / "program.py"
    program.write_text(f"{HEAD}data = [1, 2]\nlibc.socket(2, 1, 0)\n")
    with Debuggee(program) as debuggee:
        assert debuggee.run().reason == SEALED
        assert debuggee.look("data, sorted(data, key=lambda n: -n)") == "([1, 2], [2, 1])"


def test_without_seccomp_it_says_so_and_goes_on(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("done = True\n")
    with Debuggee(program, before=(sys.executable, str(HERE / "without_seccomp.py"))) as debuggee:
        assert debuggee.ready.reason == READY
        assert "not sealed" in debuggee.ready.text
        assert debuggee.run().reason == END


def test_our_own_hidden_code_is_refused_without_a_stop(tmp_path: Path) -> None:
    target = tmp_path / "target"
    reason, text = run(
        tmp_path,
        f"_core.ticks_hide(); n = libc.open({str(target)!r}.encode(), 0o101); _core.ticks_counted(check, (n,))",
        HEAD.replace("\n", "; from retroscope.recorder import _core\n", 1) + "check = lambda n: n == -1 or 1 / 0",
    )
    assert (reason, '"uncaught": null' in text, target.exists()) == (END, True, False)
