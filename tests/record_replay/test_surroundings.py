"""However a program is started, it finds what plain Python gives it, and the recording verifies.

Plain Python is the oracle: exit status, standard output and standard error to the byte, but for addresses.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SCOPE = str(Path(sys.executable).parent / "scope")
SECONDS = 60


@dataclass(frozen=True)
class Case:
    """How to start a program: `before` and `after` are shell around the command line, `words` follow `python`."""

    files: dict[str, str | bytes]
    words: tuple[str, ...] = ("p.py",)
    before: str = ""
    after: str = "</dev/null"
    env: dict[str, str] = field(default_factory=dict)


CLOSED = "import os, sys\nfd = os.open('out', os.O_WRONLY | os.O_CREAT)\nfor _ in range(3): open('p.py').close()\n"
SAY = CLOSED + "os.write(fd, repr((fd, sys.stdin, bool(sys.stdout), bool(sys.stderr))).encode())\n"
LIBRARY = {"lib/m1.py": "print('m1', __name__)\n", "p.py": "import m1\n"}
PACKED = {"z/__main__.py": "import sys\nprint(sys.argv, sys.path[0], __file__)\nimport o\no.f()\n",
          "z/o.py": "def f():\n    1/0\n"}  # fmt: skip
FLAGS = "import locale, sys\nprint(sys.flags.utf8_mode, sys.stdout.encoding, sys.stdout.errors, locale.getencoding())\n"
SIGNALS = "import signal\nprint([signal.getsignal(n) for n in (signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE)])\n"
NOT_SCOPE = "import sys\nif sys.argv[0].endswith('scope'): raise ImportError(name='sitecustomize')\n"
"""For sitecustomize: the command is a Python, too, which it would customize."""
CHILDREN = """
import os, subprocess, sys
def run(command, **how):
    print(subprocess.run(command, capture_output=True, text=True, **how))
run("echo 'print(1+1)' | $PYTHON -", shell=True, env={**os.environ, "PYTHON": sys.executable})
run(["sh", "-c", "$0 -c 'import sys; print(sys.argv)' a b | $0 -c 'print(input())'", sys.executable])
run([sys.executable, "-"], input="print('stdin', __name__)")
run([sys.executable, "-i", "-c", "print(3)"], input="print(4)\\n")
run([sys.executable, "-c", "import os; print(os.getsid(0) == os.getpid(), os.nice(0))"],
    preexec_fn=lambda: (os.setsid(), os.nice(3)))
run([sys.executable, "-c", "import os; print(os.getenv('FRUIT'))"], preexec_fn=lambda: os.putenv("FRUIT", "apple"))
print(os.system(f"{sys.executable} -c 'raise SystemExit(5)'"), os.popen(f"{sys.executable} -c 'print(6)'").read())
"""
WITHOUT_PACKAGES = """
import subprocess, sys
command = "from time import *; from socket import *; print(socket(fileno=socket().detach()), get_clock_info('time'))"
print(subprocess.run([sys.executable, "-S", "-c", command], capture_output=True, text=True))
"""
FOR_PERF = """
import os, sys, time
def f(): pass
def g(): time.time(); f()
if hasattr(sys, "activate_stack_trampoline"):
    sys.activate_stack_trampoline("perf")
    g()
    print(sys.is_stack_trampoline_active())
    with open(f"/tmp/perf-{os.getpid()}.map") as file:
        print({line.partition("py::")[2].partition(":")[0] for line in file if "p.py" in line} >= {"f", "g"})
    sys.deactivate_stack_trampoline()
    print(sys.is_stack_trampoline_active())
    os.unlink(f"/tmp/perf-{os.getpid()}.map")
"""
SUBINTERPRETERS = """
import sys
if sys.hexversion >= 0x030c0000:
    name = "_xxsubinterpreters" if sys.hexversion < 0x030d0000 else "_interpreters"
    interpreters = __import__(name)
    interpreters.run_string(interpreters.create(), f"import sys; assert sys.path[0] == {sys.path[0]!r}, sys.path")
"""
OWN_CACHE = """
import marshal, os, py_compile, sys, time
with open("m.py", "w") as file: print("x = 1", file=file)
os.utime("m.py", (1e9, 1e9))
path = py_compile.compile("m.py")
with open(path, "rb") as file: head, code = file.read(16), marshal.load(file)
with open(path, "wb") as file:
    file.write(head)
    marshal.dump(code.replace(co_consts=(2, None)), file)
time.sleep(0.1)
import m
print(m.x)
"""
AUDITED = """
import sys
seen = []
sys.addaudithook(lambda event, args: seen.append(event))
import colorsys, datetime, os, select, socket, sqlite3, subprocess, tempfile, threading
sqlite3.Connection(":memory:").execute("select 1").fetchall()
with tempfile.TemporaryFile() as file: file.write(b"x")
subprocess.run([sys.executable, "-c", "pass"])
os.scandir("/").close()
before = len(seen)
if os.fork() == 0:
    socket.socket().close()
    print("child", seen[before:], flush=True)
    os._exit(0)
os.wait()
thread = threading.Thread(target=print, args=(datetime.datetime.now().year > 2000,))
thread.start()
thread.join()
print({event: seen.count(event) for event in seen})
"""
MAPPED_TWICE = """
import mmap
from multiprocessing.shared_memory import SharedMemory
a = SharedMemory(create=True, size=512)
b = SharedMemory(a.name)
a.buf[0], b.buf[1] = 42, 7
print(bytes(a.buf[:2]), bytes(b.buf[:2]))
a.close()
c = SharedMemory(b.name)
b.buf[2] = 8
print(bytes(c.buf[:3]))
b.close()
c.buf[0] = 1
print(bytes(c.buf[:3]))
c.unlink()
c.close()
with open("file", "w+b") as file:
    file.write(bytes(8192))
    file.flush()
    m, n = mmap.mmap(file.fileno(), 8192), mmap.mmap(file.fileno(), 4096)
    m[:3] = b"abc"
    with memoryview(m):
        try: m.close()
        except BufferError as error: print(error)
    m[3] = n[0]
    with mmap.mmap(file.fileno(), 8192) as o: o[:1] = b"Z"
    print(m[:4], n[:4])
    del m
    n[4:6] = b"!!"
    n.resize(8192)
    print(n[:6], len(n))
    n.close()
    file.seek(0)
    print(file.read(6))
"""
TIMEOUTS = """
import socket
s = socket.socket()
seen = [s.timeout]
s.settimeout(5)
seen.append(s.timeout)
s.setblocking(False)
seen.append(s.timeout)
listener = socket.create_server(("127.0.0.1", 0))
with socket.create_connection(listener.getsockname(), timeout=7) as c: seen.append(c.timeout)
print(seen)
"""
BROKEN = {
    "a.py": "x = 1\nnonlocal x\n", "b.py": "x = '\xe9'; return 5", "c.py": "x = 1\r\nif x:\r\n  return 7\r\n",
    "d.py": 'def f():\n  x = f"""\n{a b}\n"""\n', "e.py": 'a = """\n\xe9\n""" + (1 2)\n',
    "g.py": b"\xef\xbb\xbfreturn 5\n", "h.py": b"# coding: latin-1\nx = '\xe9'; 5 5\n",
}  # fmt: skip
IMPORTS_BROKEN = """
import sys, traceback
for name in "abcdegh":
    try: __import__(name)
    except SyntaxError as error: traceback.print_exc(); print(ascii(error.args), ascii(error.text), error.offset)
"""
BY_FILE = """
import os, subprocess, sys
python = os.path.abspath("python")
os.symlink(sys.executable, python)
for end in ([], ["import site"]):
    with open(python + "._pth", "w") as file:
        print(*(path for path in sys.path if path.startswith(sys.base_prefix)), ".", *end, sep="\\n", file=file)
    command = "import os, sys; print(sys.path, sys.flags, 'site' in sys.modules, os.environ['PYTHONOPTIMIZE'])"
    print(subprocess.run([python, "-c", command], capture_output=True, text=True), flush=True)
"""

CASES = {
    "stdin-closed": Case({"p.py": SAY}, after="<&-; cat out"),
    "stdout-closed": Case({"p.py": SAY}, after="</dev/null >&-; cat out"),
    "stderr-closed": Case({"p.py": SAY}, after="</dev/null 2>&-; cat out"),
    "all-closed": Case({"p.py": SAY}, after="<&- >&- 2>&-; cat out"),
    "read-only": Case({"p.py": "print(open('p.py').read())"}, before="chmod 555 .;"),
    "spaces": Case({"a b/p q.py": "import sys\nprint(sys.argv, __file__)"}, words=("a b/p q.py", "x y")),
    "unicode": Case({"ä/ü€.py": "import sys\nprint(sys.argv, __file__)\n1/0"}, words=("ä/ü€.py", "ö")),
    "new-line": Case({"n\nl/p.py": "print(__file__)\n1/0"}, words=("n\nl/p.py",)),
    "not-text": Case({"p.py": "import sys\nprint(ascii(sys.argv))"}, words=("p.py", "\udcff")),
    "package": Case({"pkg/__init__.py": "print('i')", "pkg/__main__.py": "print(__package__)\n1/0"},
                    words=("-m", "pkg")),
    "package-without-main": Case({"pkg/__init__.py": ""}, words=("-m", "pkg")),
    "no-module": Case({}, words=("-m", "absent")),
    "folder": Case({f"d{name[1:]}": text for name, text in PACKED.items()}, words=("d", "x")),
    "folder-without-main": Case({"d/x.py": ""}, words=("d",)),
    "archive": Case(PACKED, before="(cd z; {python} -m zipfile -c ../z.zip *.py);", words=("z.zip", "x")),
    "archive of modules": Case(
        {"z/o.py": "print('o', __file__)\n"}, before="(cd z; {python} -m zipfile -c ../z.zip *.py);",
        words=("-c", "import o"), env={"PYTHONPATH": "z.zip"},
    ),
    "zipapp": Case(PACKED, before="{python} -m zipapp z -o z.pyz -p /usr/bin/python3;", words=("z.pyz", "x")),
    "absent": Case({}, words=("absent.py",)),
    "unreadable": Case({"p.py/x": ""}, words=("p.py",)),
    "syntax-error": Case({"p.py": "def f():\n  return\n   1\n"}),
    "byte-order-mark": Case({"p.py": b"\xef\xbb\xbfprint('bom')\n"}),
    "latin-1": Case({"p.py": b"# -*- coding: latin-1 -*-\nprint(ascii('h\xe9'))\nraise ValueError('\xe9')\n"}),
    "cp1252": Case({"p.py": b"#!python\n# coding: cp1252\nx = '\x80'\ndef f():\n    assert 0, x + '\x99'\nf()\n"}),
    "latin-1-module": Case({"p.py": "import m1\nm1.f()", "m1.py": b"# coding: latin-1\ndef f():\n    1/0, '\xe9'\n"}),
    "utf-8-sig": Case({"p.py": b"# coding: utf-8-sig\nprint('\xc3\xa9')\n1/0\n"}),
    "not-utf-8": Case({"p.py": b"x = 1\n\nprint('h\xe9')\n"}),
    "not-utf-8-in-f-string": Case({"p.py": b"x = 1\n\nx = f'''\n  \xe9'''\n"}),
    "no-such-encoding": Case({"p.py": "# coding: nosuch\nprint(1)\n"}),
    "line-ends": Case({"p.py": b"if 1:\r\n    print('''x\r\ny''')\r\n1/0\r\n"}),
    "compiled": Case({"q.py": "print(__file__)\n1/0"}, words=("q.pyc",),
                     before="{python} -m compileall -bq q.py; rm q.py;"),
    "link": Case({"real/p.py": "import m1, sys\nprint(__file__, sys.path[0])", "real/m1.py": ""}, words=("link.py",),
                 before="ln -s real/p.py link.py;"),
    "shebang": Case({"p.py": "#!/usr/bin/env python3\nimport sys\nprint(sys.argv)"}, words=("./p.py", "a")),
    "pipe": Case({"p.py": "for number in range(100_000): print(number)"}, after="</dev/null | head -3"),
    "full-device": Case({"p.py": "print('x' * 10_000)"}, after="</dev/null >/dev/full"),
    "library-relative": Case(LIBRARY, env={"PYTHONPATH": "lib"}),
    "library-named-as-ours": Case({"p.py": "import recorder, trace, types, code\nprint(recorder.X)",
                                   "recorder.py": "X = 1", "trace.py": "", "types.py": "", "code.py": "",
                                   "replay/__init__.py": ""}),
    "utf8-mode": Case({"p.py": FLAGS}, env={"PYTHONUTF8": "1"}),
    "no-locale": Case({"p.py": FLAGS}, env={"LANG": "", "LC_ALL": "", "LC_CTYPE": ""}),
    "c-locale": Case({"p.py": FLAGS}, env={"LC_ALL": "C"}),
    "developer-mode": Case({"p.py": "import sys, warnings\nprint(sys.flags)\nwarnings.warn('w', ResourceWarning)\n"},
                           env={"PYTHONDEVMODE": "1", "PYTHONHASHSEED": "1"}),
    "optimized": Case({"p.py": "'doc'\nassert 0\nprint(__doc__, __debug__)"}, env={"PYTHONOPTIMIZE": "2"}),
    "warnings": Case({"p.py": "import warnings\nwarnings.warn('w')"}, env={"PYTHONWARNINGS": "error"}),
    "hash-seed": Case({"p.py": "import os, sys\nprint(hash('a'), sys.flags, os.environ['PYTHONHASHSEED'])"},
                      env={"PYTHONHASHSEED": "42"}),
    "inspect": Case({"p.py": "x = 1\nprint(x)"}, env={"PYTHONINSPECT": "1"}),
    "inspect-failed": Case({"p.py": "x = 5\n1/0"}, env={"PYTHONINSPECT": "1"}, after="<<< 'print(x + 1)'"),
    "inspect-set-late": Case({"p.py": "import os\nos.environ['PYTHONINSPECT'] = '1'\nx = 7"}, after="<<< 'print(x)'"),
    "site-customized": Case({"p.py": "print('program')\nimport sitecustomize\nprint(sitecustomize.X)",
                             "lib/sitecustomize.py": NOT_SCOPE + "import atexit\nprint('site', __name__)\nX = 1\n"
                                                     "atexit.register(print, 'exit')"}, env={"PYTHONPATH": "lib"}),
    "site-customized-badly": Case({"p.py": "print('program')", "lib/sitecustomize.py": NOT_SCOPE + "1/0"},
                                  env={"PYTHONPATH": "lib"}),
    "children-of-shells": Case({"p.py": CHILDREN}),
    "child-without-packages": Case({"p.py": WITHOUT_PACKAGES}),
    "shadow": Case({"random.py": "import random, sys\ntry:\n    random.random\nexcept AttributeError as error:\n"
                                 "    print(str(error).partition('consider')[2].endswith('precedence)'))"},
                   words=("random.py",)),
    "cache-of-other-code": Case({"p.py": OWN_CACHE}),
    "broken-modules": Case({"p.py": IMPORTS_BROKEN, **BROKEN}),
    **{f"broken-{name}": Case({name: text}, words=(name,)) for name, text in BROKEN.items()},
    "audit-hook": Case({"p.py": AUDITED, "warm.py": AUDITED}, before="{python} warm.py >/dev/null;"),
    "memory-mapped-twice": Case({"p.py": MAPPED_TWICE}),
    "timeouts-of-sockets": Case({"p.py": TIMEOUTS}),
    "known-to-perf": Case({"p.py": FOR_PERF}),
    "sub-interpreters": Case({"p.py": SUBINTERPRETERS}),
    "child-isolated-by-a-file": Case({"p.py": BY_FILE}, env={"PYTHONOPTIMIZE": "1"}),
    "hang-up-ignored": Case({"p.py": SIGNALS}, before="trap '' HUP;"),
    "few-descriptors": Case({"p.py": "fs = []\ntry:\n    while 1: fs.append(open('p.py'))\n"
                                     "except OSError: print(len(fs))"},
                            before="ulimit -n 60;"),
    "few-bytes": Case({"p.py": "try:\n    with open('big', 'wb') as f: f.write(bytes(3_000_000))\n"
                               "except OSError as e: print(e)"},
                      before="ulimit -f 2000;"),
    "recursion": Case({"p.py": "def f(): return f()\nf()"}),
    "deep-recursion": Case({"p.py": "import sys\nsys.setrecursionlimit(100_000)\ndef f(n): return n and f(n-1)\n"
                                    "print(f(9_000))"}),
    "descriptors-closed": Case({"p.py": "import os\nos.closerange(3, 66_000)\n"
                                        "print(open('p.py').fileno())\nimport json"}),
    "modules-deleted": Case({"p.py": "import sys\nfor n in set(sys.modules) - {'sys', 'builtins', '__main__'}:"
                                     " del sys.modules[n]\nimport json, time\nprint(json.dumps({}), time.time() > 0)"}),
    "modules-cleared": Case({"p.py": "import sys\nsys.modules.clear()\nprint('still here')"}),
    "frames": Case({"p.py": "import sys, traceback\nprint(sys._getframe().f_back)\ntraceback.print_stack()"}),
    "exit-huge": Case({"p.py": "import sys\nsys.exit(2**70)"}),
    "exit-object": Case({"p.py": "import sys\nsys.exit([1, 2])"}),
    "exit-text": Case({"p.py": "import sys\nsys.exit('\\udcff')"}),
    "interrupt": Case({"p.py": "raise KeyboardInterrupt"}),
}  # fmt: skip


def lay_out(folder: Path, files: dict[str, str | bytes]) -> None:
    folder.mkdir()
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def run(case: Case, command: list[str], folder: Path) -> tuple[int, bytes, bytes]:
    lay_out(folder, case.files)
    before = case.before.replace("{python}", shlex.quote(sys.executable))
    line = f"{before} {shlex.join([*command, *case.words])} {case.after}"
    env = {**os.environ, **case.env}
    done = subprocess.run(["bash", "-c", line], cwd=folder, env=env, capture_output=True, timeout=SECONDS, check=False)
    folder.chmod(0o755)
    return done.returncode, without_addresses(done.stdout), without_addresses(done.stderr)


def without_addresses(text: bytes) -> bytes:
    return re.sub(rb"0x[0-9a-f]+", b"0x", text)


@pytest.mark.parametrize("name", CASES)
def test_it_finds_what_plain_python_gives_it(name: str, tmp_path: Path) -> None:
    case, folder, trace = CASES[name], tmp_path / "here", tmp_path / "trace.db"
    plain = run(case, [sys.executable], folder)
    folder.rename(tmp_path / "there")
    recorded = run(case, [SCOPE, "record", "-q", "-o", str(trace)], folder)
    assert recorded == plain
    folder.rename(tmp_path / "gone")
    verified = subprocess.run(
        [SCOPE, "verify", str(trace), "--output"], cwd=tmp_path, capture_output=True, timeout=SECONDS, check=False
    )
    assert verified.returncode == 0, verified.stderr.decode()
    if "cat out" not in case.after and "|" not in case.after and ">" not in case.after[10:]:
        assert without_addresses(verified.stdout) == plain[1]


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    program, trace = os.fsencode(tmp_path) + b"/caf\xe9.py", os.fsencode(tmp_path) + b"/tr\xe9.db"
    Path(os.fsdecode(program)).write_text("print(__file__.encode('utf-8', 'surrogateescape'))\n")
    recorded = subprocess.run([SCOPE, "record", "-o", trace, program], capture_output=True, check=False)
    assert (recorded.returncode, recorded.stderr) == (0, b"")
    assert recorded.stdout == f"{program!r}\n".encode()
    verified = subprocess.run([SCOPE, "verify", "--output", trace], capture_output=True, check=False)
    assert (verified.returncode, verified.stdout) == (0, recorded.stdout)
    for command in (["info"], ["events"], ["index"], ["replay", "-x", "where"]):
        done = subprocess.run([SCOPE, command[0], trace, *command[1:]], capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b""), command


def test_looking_up_a_host_needs_no_note(tmp_path: Path) -> None:
    trace, code = str(tmp_path / "trace.db"), "import socket; socket.getaddrinfo('localhost', 1)"
    subprocess.run([SCOPE, "record", "-o", trace, "-c", code], check=True)
    shown = subprocess.run([SCOPE, "info", trace], capture_output=True, text=True, check=True).stdout
    assert "note" not in shown, shown
    subprocess.run([SCOPE, "verify", "-q", trace], check=True)


def test_readline_without_a_home(tmp_path: Path) -> None:
    """libreadline then asks the system where the user is at home, through a socket that the seal of a replay stops."""
    text = "import readline\nreadline.add_history('one')\nprint(readline.get_history_item(1))\n"
    (tmp_path / "program.py").write_text(text)
    environment = {name: value for name, value in os.environ.items() if name != "HOME"}
    for command in (["record", "-q", "program.py"], ["verify", "--output"]):
        done = subprocess.run([SCOPE, *command], cwd=tmp_path, env=environment, capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (0, b"one\n"), done.stderr
