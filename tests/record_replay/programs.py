"""The fixture programs, and what each must do under plain Python.

An exit status of 128+N means killed by signal N, as a shell and `scope record` say it.
"""

from __future__ import annotations

from dataclasses import dataclass

LINES = "Ada\nsecond line\nthird line\nchars and more\nan item\nstop here\n" + "rest\n" * 40


@dataclass(frozen=True)
class Program:
    """One way to run one fixture. `argv` is what follows `python`; `source` is copied from fixtures/programs."""

    name: str
    argv: tuple[str, ...]
    source: str
    status: int = 0
    stdin: str = ""
    same: bool = True  # two plain runs print the same, so a recorded run must print that too
    whole: bool = True  # False: it ends before the interpreter can, and verify says so


def script(name: str, *arguments: str, status: int = 0, stdin: str = "", same: bool = True) -> Program:
    return Program(name, (f"{name}.py", *arguments), f"{name}.py", status, stdin, same)


def ending(how: str, status: int, same: bool = True, whole: bool = True) -> Program:
    return Program(f"exits-{how}", ("exits.py", how), "exits.py", status, same=same, whole=whole)


def interrupted(where: str) -> Program:
    name = "signals_interrupt"
    return Program(f"{name}-{where}", (f"{name}.py", where), f"{name}.py", same=False)


PROGRAMS = [
    script("addresses", same=False),
    script("asyncio_streams", same=False),
    script("asyncio_tasks", same=False),
    script("calendars", same=False),
    script("clocks", same=False),
    script("collection", same=False),  # when the collector runs is not promised
    script("collection_running", same=False),  # nor what it looks at first
    script("cycles_at_exit"),
    script("computing"),
    script("contexts"),
    script("coroutines"),
    script("database"),
    script("database_threads"),
    script("debugged"),
    script("environment", "one", "--two", "three words"),
    script("exceptions", status=1),
    script("faults"),
    script("files"),
    script("forks_in_a_loop"),
    script("forks_with_hooks"),
    script("forks_with_hooks_threads"),
    script("generators"),
    script("globals_at_exit"),
    script("hostile_objects"),
    script("identity_sets", same=False),
    script("imports"),
    script("line_numbers"),
    script("mappings"),
    script("mappings_written"),
    script("mappings_children"),
    script("objects_listed"),
    script("one_line_functions", status=1),
    script("pipes_nonblocking"),
    script("polling"),
    script("randomness", same=False),
    script("recursion"),
    script("recursion_through_c"),
    script("redirected"),
    script("screens"),
    script("sockets"),
    script("sockets_scattered"),
    script("service_asyncio"),
    script("service_blocks"),
    script("service_jobs", same=False),
    script("service_logging", same=False),
    script("service_proxy", same=False),
    script("signals_busy", same=False),  # where a signal lands differs each time
    script("signals_full_pipe"),
    script("signals_last_deed"),
    script("signals_loop", same=False),
    script("signals_profiled"),
    script("signals_waiting"),
    *(interrupted(where) for where in ("loop", "line", "function", "objects", "sleep", "finally")),
    script("standard_input", stdin=LINES),
    script("subclasses", same=False),  # C code that only the recorder runs makes some types ready
    script("subprocesses"),
    script("tracers", same=False),  # the inside of the import system is not shown
    script("tcl"),
    script("threads_compiled", same=False),
    script("threads_deep"),
    script("threads_ending", same=False),  # idents
    script("threads_entries", same=False),
    script("threads_full_pipe", same=False),
    script("threads_idle", same=False),
    script("threads_join_main"),
    script("threads_killed"),
    script("threads_limits", same=False),  # 3.11 counts a call more where it traces
    script("threads_locals", same=False),
    script("threads_race", same=False),
    script("threads_spinning"),
    script("threads_throw", same=False),
    script("threads_waiting", same=False),
    script("unraisable_in_threads"),
    script("values"),
    script("warned"),
    Program("hostile", ("hostile/main.py",), "hostile"),
    Program("tls", ("tls/main.py",), "tls"),
    Program("archive", ("package.pyz", "one", "-x"), "package"),
    Program("module", ("-m", "package", "one", "-x"), "package"),
    Program("module-of-library", ("-m", "json.tool", "--compact"), "package", stdin='{"a": [1, 2]}'),
    Program("command", ("-c", "import sys, time; print(sys.argv, __name__, time.time())", "x"), "package", same=False),
    Program("command-fails", ("-c", "import sys\ndef f(): raise ValueError(sys.argv)\nf()"), "package", status=1),
    Program("empty", ("-c", ""), "package"),
    Program("syntax-error", ("-c", "print('one'"), "package", status=1),
    ending("end", 0),
    ending("status", 3),
    ending("text", 1),
    ending("none", 0),
    ending("large", 9),
    ending("uncaught", 1),
    ending("interrupt", 130, whole=False),
    ending("now", 7, whole=False),
    ending("abort", 134, whole=False),
    ending("segfault", 139, whole=False),
    ending("kill", 137, whole=False),
    ending("terminate", 143, whole=False),
    ending("atexit", 0, same=False),
    ending("shutdown", 0, same=False),
    ending("hook", 1),
    ending("exec", 4, whole=False),
    ending("closed", 120, same=True),
    script("words", "one", "two words"),
]
