"""The line of a syntax error. CPython reads it from the file again, which a replay has not: it has the content."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LONGEST = 999  # bytes of a line that CPython looks at
_FIELDS = ("filename", "lineno", "offset", "text", "end_lineno", "end_offset")


def put_back(error: BaseException, recorded: "Any", path: str, content: bytes) -> None:
    """In replay: `error`, of the file at `path`, which held `content`, becomes what the `recorded` one was."""
    if not isinstance(error, SyntaxError) or not isinstance(recorded, SyntaxError):
        return
    error.args = recorded.args
    if len(error.args) == 2:
        for name, value in zip(_FIELDS, error.args[1]):
            setattr(error, name, value)
    elif error.filename == path:  # the compiler of 3.11 tells of it in fields only, which are not recorded
        error.text = _line(content, error.lineno) or error.text


def _line(content: bytes, number: "int | None") -> "str | None":
    lines = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    if number is None or not 0 < number <= len(lines):
        return None
    line = lines[number - 1] + (b"\n" if number < len(lines) else b"")
    try:
        return line[:_LONGEST].decode()
    except UnicodeDecodeError:
        return None
