"""Starts the program as plain Python starts it: what `__main__` holds, sys.path[0], the code to run."""

import builtins
import marshal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType
    from typing import Any

    from retroscope.recorder.annotations import Core, Facts

_import = builtins.__import__


def prepare(core: "Core", facts: "Facts", source: "Any") -> "Callable[[], tuple[Any, Any]]":
    """The function that core.run calls, hidden, after `site`: a plan, (code, globals) or (function, args)."""
    compile("", "", "exec")  # makes the types of its syntax trees now, while they are not the program's

    def plan() -> "tuple[Any, Any]":
        namespace = vars(sys.modules["__main__"])
        main = facts["main"]
        if main["form"] == "package" or not facts["safe_path"]:
            sys.path.insert(0, main["path0"])
        if main["form"] == "code":
            code = _code(core, facts["target"])
            core.show_code(code)
            return code, namespace
        if main["form"] in ("module", "package"):
            return (facts["target"], True) if main["form"] == "module" else ("__main__", False)
        return _file(facts, source, namespace), namespace

    return plan


def _code(core: "Core", text: str) -> "CodeType":
    """From 3.13 on, tracebacks show the lines of `-c`: CPython tells linecache of them before it runs them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        sys.stderr.write("Unable to decode the command from the command line:\n")
        raise
    code = compile(text, "<string>", "exec", dont_inherit=True)
    if sys.hexversion >= 0x030D0000:
        core.visible(_import, ("linecache",))
        core.visible(sys.modules["linecache"]._register_code, ("<string>", text + "\n", "<string>"))
    return code


def _file(facts: "Facts", source: "Any", namespace: "dict[str, Any]") -> "CodeType":
    path, error = facts["main"]["path"], facts["main"]["error"]
    if error:
        sys.stderr.write(f"{facts['executable']}: can't open file {path!r}: {error}\n")
        raise SystemExit(2)
    content = source[1]
    external = sys.modules["_frozen_importlib_external"]
    compiled = path.endswith(".pyc")
    loader = external.SourcelessFileLoader if compiled else external.SourceFileLoader
    namespace.update(__file__=path, __cached__=None, __loader__=loader("__main__", path))
    if compiled:
        code: CodeType = marshal.loads(memoryview(content)[16:])
        return code
    try:
        return compile(content, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        told = _null_byte(content, path) or _read_from_file(content, path, error.msg)
        if told is None:
            raise
    raise told


def _null_byte(content: bytes, path: str) -> "SyntaxError | None":
    """What CPython says of one where it reads a text from a file, unless it cannot decode what is before it."""
    before, null, _ = content.partition(b"\0")
    try:
        lines = before.decode().split("\n")
    except UnicodeDecodeError:
        return None
    line, text = len(lines), lines[-1]
    return SyntaxError("source code cannot contain null bytes", (path, line, 0, text, line, 0)) if null else None


def _read_from_file(content: bytes, path: str, message: "Any") -> "SyntaxError | None":
    """What CPython says of a text that it cannot decode, where it reads it from a file; None: it is another error."""
    unknown = "unknown encoding: "
    if type(message) is str and message.startswith(unknown):
        return SyntaxError("encoding problem: " + message.removeprefix(unknown))
    if b"coding" in b"".join(content.splitlines(True)[:2]):
        return None
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return SyntaxError(
            f"Non-UTF-8 code starting with '\\x{content[error.start]:02x}' in file {path} on line {line}, but no "
            "encoding declared; see https://peps.python.org/pep-0263/ for details"
        )
    return None
