"""The part that looks: runs inside a fork of a replay process, answers questions about one moment, and is thrown away.

Loaded hidden before the program starts. Everything it uses is bound now, because the program may replace or delete
modules and builtins later: `__builtins__` is a copy, and the modules are built into the interpreter. Panes of variables
(`inspector_values`) never run the program's code; `evaluate` may, for this process has no future.

Wire: u32 size, then a request in marshal: (operation, arguments…); answers in JSON, which the controller can read
without trusting us: ["ok", result] or ["error", text]. Our pid comes first of all.
"""

import builtins
import itertools
import marshal
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    Row = tuple[str, str, str, int, int, int, str | None]
    FrameRow = tuple[int, str, str, int, bool]
else:  # nothing may be imported here that the program would find imported
    Any = Callable = Iterable = Row = FrameRow = list

if "Shelf" not in globals():  # a replay process runs all files in one namespace, this one last
    from retroscope.replay.inspector_changes import change_in, flush_outputs
    from retroscope.replay.inspector_places import (
        Line,
        Place,
        arguments_of,
        line_under_way,
        place_on_stack,
        positions,
        slot_of,
    )
    from retroscope.replay.inspector_tasks import task_rows
    from retroscope.replay.inspector_threads import ThreadRow, frames_from, thread_rows
    from retroscope.replay.inspector_values import Rows, Shelf, clip, render, type_name
    from retroscope.replay.inspector_watches import Subject, WatchState, find_subject, subject_state

__builtins__: Any = dict(vars(builtins))  # type: ignore[no-redef,unused-ignore]

MOST_EVALUATED = 1 << 16
MOST_MESSAGE = 500
_STACK_SHIFT = 24
_MOST_FRAMES = (1 << _STACK_SHIFT) - 1
_FIRST_TASK = 1 << 20

_one_after_the_other = itertools.chain
_marshal_loads = marshal.loads
_read = posix.read
_write = posix.write
_getpid = posix.getpid


# -- frames


def frame_locals(frame: Any) -> dict[str, Any]:
    return dict(frame.f_locals)


def scope_rows(mapping: dict[Any, Any]) -> Rows:
    """Plain names first, the module's own machinery behind them."""
    names = [name for name in mapping if type(name) is str]
    plain = [name for name in names if not name.startswith("__")]
    special = [name for name in names if name.startswith("__") and name != "__builtins__"]
    return Rows([(name, mapping[name], name) for name in plain + special])


# -- evaluating


class Capture:
    """Stands in for sys.stdout and sys.stderr while the user's expression runs."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self) -> None:
        self.parts: list[str] = []

    def write(self, text: str) -> int:
        self.parts.append(str(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        self.parts.extend(lines)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False


def describe(error: BaseException) -> str:
    """The last line of a traceback, by hand."""
    try:
        message = str(error)
    except BaseException:
        message = "<its message cannot be shown>"
    name = type_name(type(error)).removeprefix("__main__.")
    return name + ": " + message if message else name


def run_in(frame: Any, text: str) -> tuple[bool, Any]:
    """(has a value, value) of `text` in the scope of `frame`; statements have none. Raises what the text raises."""
    space = frame.f_globals
    if frame.f_locals is not space:
        # One namespace, for what the text nests (a comprehension, a lambda) sees no locals. globals() does not show it.
        space = {"globals": lambda: frame.f_globals, **space, **frame_locals(frame)}
    try:
        code = compile(text, "<expression>", "eval")
    except SyntaxError:
        exec(compile(text, "<expression>", "exec"), space)
        return False, None
    if space is frame.f_globals:
        return True, eval(code, space)
    return True, eval(code, space, dict(frame_locals(frame)))  # what locals() and dir() give


def shown(frame: Any, text: str) -> tuple[bool, Any, str | None]:
    """As run_in, but with the value's own repr: a part of the program, as far as the core is concerned. None: it asks
    for something outside, such as the id of the object."""
    has_value, value = run_in(frame, text)
    if not has_value:
        return False, value, ""
    try:
        return True, value, clip(repr(value), MOST_EVALUATED)
    except RuntimeError as error:
        if "reaches outside the recording" not in str(error):
            raise
        return True, value, None


def evaluate(core: Any, shelf: Shelf, frame: Any, text: str) -> tuple[str, Row | None, str | None]:
    """(printed text, row or None, error or None); the row's text is the object's own repr."""
    capture = Capture()
    saved = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = capture
    row = failure = None
    try:
        has_value, value, own = as_program(core, shown, frame, text.strip())
        if has_value:
            name, _, kind, reference, named, indexed, expression = shelf.row(text, value, text)
            row = (name, render(value) if own is None else own, kind, reference, named, indexed, expression)
    except BaseException as error:
        failure = as_program(core, describe, error)
    finally:
        sys.stdout, sys.stderr = saved
    return clip("".join(capture.parts), MOST_EVALUATED), row, failure


def truth(core: Any, frame: Any, text: str) -> tuple[bool, str | None]:
    """(whether a condition holds, error or None)."""
    try:
        return as_program(core, lambda: bool(run_in(frame, text.strip())[1])), None
    except BaseException as error:
        return False, as_program(core, describe, error)


def as_program(core: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls it with the boundary in place, which refuses to let it reach outside the recording."""
    return function(*arguments) if core is None else core.visible(function, arguments)


# -- serving


def receive(fd: int) -> Any:
    """The next request, or None when the controller is gone."""
    head = _exactly(fd, 4)
    if head is None:
        return None
    body = _exactly(fd, int.from_bytes(head, "little"))
    return None if body is None else _marshal_loads(body)


def _exactly(fd: int, size: int) -> bytes | None:
    parts: list[bytes] = []
    while size:
        part = _read(fd, size)
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


_escapes = {ord('"'): '\\"', ord("\\"): "\\\\", **{code: "\\u%04x" % code for code in range(32)}}  # noqa: UP031


def to_json(value: Any) -> str:
    """JSON of None, bool, int, float, str, and lists and tuples of these."""
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    if type(value) is str:
        return '"' + value.translate(_escapes) + '"'
    if type(value) in (list, tuple):
        return "[" + ",".join([to_json(item) for item in value]) + "]"
    return repr(value)


def send(fd: int, message: object) -> None:
    body = to_json(message).encode("utf-8", "surrogatepass")
    data = memoryview(len(body).to_bytes(4, "little") + body)
    while data:
        data = data[_write(fd, data) :]


class Look:
    """The operations, by name, on one stopped program."""

    def __init__(self, core: Any, frame: Any) -> None:
        self.core = core
        self.shelf = Shelf()
        self.threads: list[Any] = [(1, 0, "running", None, None, None)] if core is None else core.threads()
        self.stacks = {number: frames_from(standing) for number, _, _, standing, *_ in self.threads}
        self.running = next((number for number, _, state, *_ in self.threads if state == "running"), 1)
        self.stacks[self.running] = frames_from(frame)
        self.task_rows: list[Any] | None = None

    def frame(self, number: int) -> Any:
        stack = self.stack_of(number >> _STACK_SHIFT)
        at = number & _MOST_FRAMES
        if at >= len(stack) or number < 0:
            raise LookupError("there is no such frame" if stack else "no code is running here")
        return stack[at]

    def stack_of(self, key: int) -> list[Any]:
        """0: the running thread's, then the threads' by number, and from _FIRST_TASK on those of tasks."""
        if key < _FIRST_TASK:
            return self.stacks.get(key or self.running, [])
        rows = self.known_tasks()
        return rows[key - _FIRST_TASK][3] if key - _FIRST_TASK < len(rows) else []

    def numbered(self, key: int) -> list[FrameRow]:
        """(number, function, file, line, whether it is the user's own code) of each frame of a stack.

        The numbers mean the same to every looker of one moment.
        """
        first = key << _STACK_SHIFT
        return [(first + at, *self.row(frame)) for at, frame in enumerate(self.stack_of(key)[:_MOST_FRAMES])]

    def stack(self, thread: int = 0) -> list[FrameRow]:
        """The stack of a thread, 0: of the running one, innermost first."""
        if thread and thread not in self.stacks:
            raise LookupError("there is no thread " + str(thread) + " at this moment")
        return self.numbered(0 if thread == self.running else thread)

    def all_threads(self) -> list[ThreadRow]:
        return thread_rows(self.threads, self.stacks, self.visible)

    def known_tasks(self) -> list[Any]:
        if self.task_rows is None:
            self.task_rows = task_rows(self.stacks, self.visible)
        return self.task_rows

    def tasks(self) -> list[tuple[str, str, str, list[FrameRow]]]:
        """(name, state, what it waits for, chain of awaiting frames) of each asyncio task that is not over."""
        return [(*row[:3], self.numbered(_FIRST_TASK + at)) for at, row in enumerate(self.known_tasks())]

    def row(self, frame: Any) -> tuple[str, str, int, bool]:
        code = frame.f_code
        file, visible = code.co_filename, self.visible(code)
        if file.startswith("<") and not visible:
            module = frame.f_globals.get("__name__")
            file += " of " + module if type(module) is str else ""  # many texts of libraries are called <string>
        return code.co_qualname, file, frame.f_lineno or code.co_firstlineno, visible

    def visible(self, code: Any) -> bool:
        return self.core is None or self.core.is_visible(code)

    def scopes(self, number: int) -> list[tuple[str, int]]:
        frame = self.frame(number)
        spaces = [("Globals", frame.f_globals)]
        if frame.f_locals is not frame.f_globals:
            spaces.insert(0, ("Locals", frame_locals(frame)))
        return [(name, self.shelf.put(scope_rows(space), None)) for name, space in spaces]

    def children(self, reference: int, start: int, count: int | None) -> list[Row]:
        return self.shelf.children(reference, start, count)

    def evaluate(self, number: int, text: str) -> tuple[str, Row | None, str | None]:
        return evaluate(self.core, self.shelf, self.frame(number), text)

    def truth(self, number: int, text: str) -> tuple[bool, str | None]:
        return truth(self.core, self.frame(number), text)

    def change(self, number: int, text: str) -> tuple[list[str], str | None]:
        """(remarks, error or None) of statements that are run in a frame; only in a branch, where they stay done."""
        frame = self.frame(number)
        try:
            return as_program(self.core, change_in, self.core, frame, text.strip()), None
        except BaseException as error:
            return [], as_program(self.core, describe, error)

    def flush(self) -> str | None:
        """Lets the program's output streams write what they hold; only in a branch. The error if that failed."""
        try:
            as_program(self.core, flush_outputs)
        except BaseException as error:
            return clip(as_program(self.core, describe, error), MOST_MESSAGE)
        return None

    def raising(self) -> str | None:
        """Type and message of the exception at whose raise the program stands, else None."""
        error = self.core.raising()
        return None if error is None else clip(as_program(self.core, describe, error), MOST_MESSAGE)

    def raised_through(self) -> list[tuple[str, str]] | None:
        """(function, file) of the frames that this exception has come through, those that have ended too.

        None: a group that `except*` may have made, whose traceback says nothing of the function that it comes from.
        """
        error = self.core.raising()
        if isinstance(error, BaseExceptionGroup):
            return None
        found, passed = getattr(error, "__traceback__", None), []
        while found is not None:
            passed.append(self.row(found.tb_frame)[:2])
            found = found.tb_next
        return passed

    def raising_types(self) -> str | None:
        """The names of that exception's type and of its bases, without their modules, in one text."""
        error = self.core.raising()
        names = [] if error is None else [type_name(base).rpartition(".")[2] for base in type(error).__mro__]
        return " ".join(names) or None

    def message(self, number: int, parts: list[tuple[bool, str]]) -> str:
        """Plain text and expressions (True) as one text; in the place of one that fails stands its error."""
        frame, said = self.frame(number), []
        for is_expression, text in parts:
            if not is_expression:
                said.append(text)
                continue
            try:
                said.append(as_program(self.core, lambda text=text: clip(str(run_in(frame, text)[1]), MOST_EVALUATED)))
            except BaseException as error:
                said.append("{" + as_program(self.core, describe, error) + "}")
        return "".join(said)

    def positions(self) -> list[tuple[int, int, int, int]]:
        return positions(self.stacks)

    def line_under_way(self, thread: int, depth: int) -> Line:
        return line_under_way(self.stacks, thread, depth)

    def slot(self, place: Place) -> int:
        """The address of a variable of a frame, bound or not; 0: the frame is not there."""
        try:
            return slot_of(self.core, self.stacks, place)
        except LookupError:
            return 0

    def on_stack(self, place: Place) -> tuple[int, int]:
        return place_on_stack(self.core, self.stacks, place)

    def subject(self, number: int, text: str) -> Subject:
        """What a watch of `text` looks at; `subject_state` takes it at any moment."""
        frame, key, at = self.frame(number), number >> _STACK_SHIFT, number & _MOST_FRAMES
        if key >= _FIRST_TASK:
            return find_subject(self.core, {0: [frame]}, 0, 0, text)
        return find_subject(self.core, self.stacks, key or self.running, at, text)

    def subject_state(self, subject: Subject) -> WatchState:
        return subject_state(self.core, self.stacks, subject)

    def keepers(self) -> list[Any]:
        """Of each frame of the running thread: the addresses of its generator or coroutine and of the type, or ()."""
        return [self.core.watch_generator(frame) for frame in self.stacks[self.running]]

    def gives_way(self, keepers: list[Any]) -> bool:
        """Whether one of these waits for another generator or awaitable, which may go on without a line of its own."""
        fields = "gi_yieldfrom", "cr_await", "ag_await"
        found = [self.core.watch_object(*keeper) for keeper in keepers]
        return [1 for each in found for field in fields if getattr(each, field, None) is not None] != []

    def names(self, number: int) -> list[str]:
        frame = self.frame(number)
        return sorted({str(name) for name in _one_after_the_other(frame.f_locals, frame.f_globals)})

    def arguments(self, number: int) -> list[str]:
        return arguments_of(self.frame(number).f_code)


def serve(fd: int, core: Any, frame: Any) -> None:
    """Answers on the stream `fd` until the other end closes it."""
    send(fd, _getpid())
    look = Look(core, frame)
    operations = {name: method for name, method in vars(Look).items() if not name.startswith("_")}
    while True:
        request = receive(fd)
        if request is None:
            return
        try:
            answer = ("ok", operations[request[0]](look, *request[1:]))
        except LookupError as error:
            answer = ("error", str(error))
        except BaseException as error:
            answer = ("error", describe(error))
        send(fd, answer)
