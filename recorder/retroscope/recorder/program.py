"""Starts the program as plain Python starts it: what `__main__` holds, sys.path[0], the code to run."""

import builtins
import marshal
import sys

from retroscope.recorder.error_lines import put_back

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType
    from typing import Any

    from retroscope.recorder.annotations import Core, Facts

_import = builtins.__import__
_compile = builtins.compile


def prepare(core: "Core", facts: "Facts", source: "Any") -> "Callable[[], tuple[Any, Any]]":
    """The function that core.run calls, hidden, after `site`: a plan, (code, globals) or (function, args)."""
    compile("", "", "exec")  # makes the types of its syntax trees now, while they are not the program's

    def plan() -> "tuple[Any, Any]":
        namespace = vars(sys.modules["__main__"])
        main = facts["main"]
        if main["form"] == "package" or not facts["safe_path"]:
            sys.path.insert(0, main["path0"])
            core.set_path0(main["path0"], facts["safe_path"])
        if main["form"] == "code":
            code = _code(core, facts["target"])
            core.show_code(code)
            return code, namespace
        if main["form"] in ("module", "package"):
            return (facts["target"], True) if main["form"] == "module" else ("__main__", False)
        return _file(core, facts, source, namespace), namespace

    return plan


def _code(core: "Core", text: str) -> "CodeType":
    """From 3.13 on, tracebacks show the lines of `-c`: CPython tells linecache of them before it runs them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        sys.stderr.write("Unable to decode the command from the command line:\n")
        raise
    code = _compiled(core, text, "<string>")
    if sys.hexversion >= 0x030D0000:
        core.visible(_import, ("linecache",))
        core.visible(sys.modules["linecache"]._register_code, ("<string>", text + "\n", "<string>"))
    return code


def _compiled(core: "Core", source: "str | bytes", path: str) -> "CodeType":
    """As part of the program: the compiler warns, looks codecs up, and imports unicodedata for names and characters."""
    code: CodeType = core.visible(_compile, (source, path, "exec"), {"dont_inherit": True})
    return code


def _file(core: "Core", facts: "Facts", source: "Any", namespace: "dict[str, Any]") -> "CodeType":
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
    if facts["main"]["skips_line"]:  # -x
        content = content[content.find(b"\n") :] if b"\n" in content else b""
    try:
        return _compiled(core, content, path)
    except (SyntaxError, UnicodeDecodeError) as error:  # the latter: in an f-string
        told = _null_byte(content, path) or _read_from_file(content, path, error)
        if told is None:
            put_back(error, core.own_source((path, content, error))[-1], path, content)
            if isinstance(error, SyntaxError):
                _show_line(content, error)
            raise
    raise told


def _show_line(content: bytes, error: SyntaxError) -> None:
    """CPython takes the line that it shows out of the file, which may be another one by now, or else out of what it has
    read of it. On 3.11 the expression of an f-string has a line of its own."""
    text = error.text
    is_expression = sys.hexversion < 0x030C0000 and text and text[0] == "(" and text.find("\n") == len(text) - 1
    if not text or text[0] == "\ufeff" or is_expression:
        return
    try:
        text = content.decode(_declared_encoding(content) or "utf-8", "replace").removeprefix("\ufeff")
    except LookupError:
        return
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    number = error.lineno or 0
    if 0 < number <= len(lines):
        error.text = lines[number - 1] + "\n"


def _null_byte(content: bytes, path: str) -> "SyntaxError | None":
    """What CPython says of one where it reads a text from a file, unless it cannot decode what is before it."""
    before, null, _ = content.partition(b"\0")
    try:
        lines = before.decode().split("\n")
    except UnicodeDecodeError:
        return None
    line, text = len(lines), lines[-1]
    return SyntaxError("source code cannot contain null bytes", (path, line, 0, text, line, 0)) if null else None


def _declared_encoding(content: bytes) -> str:
    """As PEP 263 has it; empty: there is none."""
    for line in content.splitlines()[:2]:
        comment, mark, rest = line.partition(b"coding")
        if mark and comment.lstrip(b" \t\f").startswith(b"#") and rest[:1] in (b":", b"="):
            rest = rest[1:].lstrip(b" \t")
            end = 0
            while rest[end : end + 1].isalnum() or rest[end : end + 1] in (b"-", b"_", b"."):
                end += 1
            return rest[:end].decode()
    return ""


def _read_from_file(content: bytes, path: str, error: "SyntaxError | UnicodeDecodeError") -> "SyntaxError | None":
    """What CPython says of a text that it cannot decode, where it reads it from a file; None: it is another error."""
    unknown, problem, message = "unknown encoding: ", "encoding problem: ", getattr(error, "msg", None)
    if type(message) is str and message.startswith((unknown, problem)):
        return SyntaxError(problem + message.removeprefix(unknown).removeprefix(problem))
    declared = _declared_encoding(content)
    if declared:
        return SyntaxError(problem + declared) if isinstance(error, SyntaxError) and not error.lineno else None
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return SyntaxError(
            f"Non-UTF-8 code starting with '\\x{content[error.start]:02x}' in file {path} on line {line}, but no "
            "encoding declared; see https://peps.python.org/pep-0263/ for details"
        )
    return None
