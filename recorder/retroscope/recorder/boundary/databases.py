"""sqlite3. In replay a connection is a real one to an empty database in memory; no statement ever runs there."""

import itertools
import sys

from retroscope.recorder.boundary.declare import KEEP, PASS, RERUN, RESULT, Module, Policy, Type, adapt, through

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from retroscope.recorder.annotations import Args, Core, Kwargs, Wrap

_core: "Core" = None


def _opened(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> None:
    return None


def _open_empty(value: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> None:
    options = {name: option for name, option in (kwargs or {}).items() if name not in ("database", "uri")}
    sys.modules["_sqlite3"].Connection.__init__(self, ":memory:", *args[1:7], **options)


def _open(call: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> None:
    try:
        call(self, *args, **(kwargs or {}))
    except BaseException:
        if _core.replaying():
            _fail_to_open(self)
        raise


def _fail_to_open(connection: "Any") -> None:
    """Leaves a connection as a failed __init__ does."""
    connector = sys.modules["_sqlite3"]
    try:  # noqa: SIM105 - contextlib is a module of Python's own
        connector.Connection.__init__(connection, "/dev/null/no database")
    except connector.OperationalError:
        pass


_STATE = ("description", "rowcount", "lastrowid")


def _set(name: str) -> Policy:
    """Setting it may end or begin a transaction; what that calls back is in the record."""

    def decode(value: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> None:
        setattr(self, name, args[0])

    return adapt(None, decode)


def _one_by_factory(call: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    """A row factory is the program's own code: it runs visibly, on the plain row."""
    factory, self.row_factory = self.row_factory, None
    try:
        row = call(self, *args, **(kwargs or {}))
    finally:
        self.row_factory = factory
    return None if row is None else _core.visible(factory, (self, row))


def _all_by_factory(call: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    factory, self.row_factory = self.row_factory, None
    try:
        rows = call(self, *args, **(kwargs or {}))
    finally:
        self.row_factory = factory
    return [_core.visible(factory, (self, row)) for row in rows]


def _fetch(wrap: "Wrap") -> Policy:
    return Policy("RESULT", wrap=wrap, member="row_factory", changes=("rowcount",))


# --- callbacks: sqlite keeps them, and calls them while a statement runs

_METHODS = ("step", "inverse", "value", "finalize")
_aggregating: "dict[int, Any]" = {}  # what stands for the aggregates that are not finalized yet, by number
_aggregates = 0


def _kept(index: int, name: str, *, policy: str = "RERUN", made: "Any" = None) -> Policy:
    """A callable that takes a callback as argument `index` or `name`: a numbered one is kept in its place."""

    def wrap(call: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
        given, named = list(args), dict(kwargs or {})
        if len(given) > index and callable(given[index]):
            given[index] = _core.callback(given[index], made)
        elif callable(named.get(name)):
            named[name] = _core.callback(named[name], made)
        return call(self, *given, **named)

    return Policy(policy, wrap=wrap, index=-1)


def _by_callback(call: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    """An iterator of the program's own may be asked while other threads run: each item is a numbered callback."""
    if len(args) == 2 and not kwargs and not isinstance(args[1], (list, tuple)) and hasattr(type(args[1]), "__iter__"):
        rows = _core.visible(iter, (args[1],))
        args = (args[0], itertools.starmap(_core.callback(rows.__next__, None), itertools.repeat(())))
    return call(self, *args, **(kwargs or {}))


def _aggregate(instance: "Any") -> "Any":
    """Stands for an aggregate: an object with the same methods, each a numbered callback."""
    global _aggregates
    _aggregates += 1
    number, shell = _aggregates, type(sys.implementation)()

    def over(result: "Any") -> "Any":
        _aggregating.pop(number, None)
        return result

    for name in _METHODS:
        method = getattr(instance, name, None)
        if method is not None:
            setattr(shell, name, _core.callback(method, over if name == "finalize" else None))
    _aggregating[number] = shell
    return shell


def _report(call: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> None:
    call(self, *args, **(kwargs or {}))
    _core.callbacks_report(args[0])


def _encode_blob(blob: "Any") -> None:
    return None


def _make_blob(kind: type, value: "Any", self: "Any") -> "Any":
    """An empty shell: everything that would look inside is at the boundary."""
    return _core.allocate(kind)


_executes = Policy("RESULT", changes=_STATE)

MODULES = [
    Module(
        "_sqlite3",
        functions=PASS,
        special={
            "enable_shared_cache": RESULT,
            "enable_callback_tracebacks": Policy("RERUN", wrap=_report, index=-1),
            "register_converter": _kept(1, "callable"),
            "register_adapter": _kept(1, "caster"),
        },
        types=[
            Type(
                "Connection",
                special={
                    "__init__": adapt(_opened, _open_empty, wrap=_open, index=-1),
                    "close": KEEP,
                    "autocommit=": _set("autocommit"),
                    "isolation_level=": _set("isolation_level"),
                    "cursor": KEEP,
                    "setlimit": RERUN,
                    "execute": through("cursor", "execute"),
                    "executemany": through("cursor", "executemany"),
                    "executescript": through("cursor", "executescript"),
                    "total_changes": RESULT,
                    "in_transaction": RESULT,
                    "create_function": _kept(2, "func"),
                    "create_aggregate": _kept(2, "aggregate_class", made=_aggregate),
                    "create_window_function": _kept(2, "aggregate_class", made=_aggregate),
                    "create_collation": _kept(1, "callback"),
                    "set_authorizer": _kept(0, "authorizer_callback"),
                    "set_progress_handler": _kept(0, "progress_handler"),
                    "set_trace_callback": _kept(0, "trace_callback"),
                    "backup": _kept(1, "progress", policy="RESULT"),
                },
                passing="__enter__ iterdump __call__",
            ),
            Type(
                "Cursor",
                methods=PASS,
                special={
                    "close": KEEP,
                    "execute": _executes,
                    "executemany": Policy("RESULT", wrap=_by_callback, index=-1, changes=_STATE),
                    "executescript": _executes,
                    "fetchone": _fetch(_one_by_factory),
                    "fetchmany": _fetch(_all_by_factory),
                    "fetchall": _fetch(_all_by_factory),
                    "__next__": _fetch(_one_by_factory),
                },
            ),
            Type(
                "Blob",
                special={"__len__": RESULT, "__getitem__": RESULT, "__setitem__": RESULT},
                handle=(_encode_blob, _make_blob),
            ),
        ],
    ),
]
