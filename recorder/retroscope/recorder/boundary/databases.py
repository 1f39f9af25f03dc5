"""sqlite3. In replay a connection is a real one to an empty database in memory; no statement ever runs there."""

import sys

from retroscope.recorder.boundary.declare import PASS, RERUN, RESULT, Module, Policy, Type, adapt, always

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from retroscope.recorder.annotations import Args, Core, Kwargs, Wrap

_core: "Core" = None


def bind(core: "Core") -> None:
    global _core
    _core = core


def _opened(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> None:
    return None


def _open_empty(value: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> None:
    options = {name: option for name, option in (kwargs or {}).items() if name not in ("database", "uri")}
    sys.modules["_sqlite3"].Connection.__init__(self, ":memory:", *args[1:7], **options)


_STATE = ("description", "rowcount", "lastrowid")


def _encode_executed(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    return (self.description, self.rowcount, self.lastrowid)


def _decode_executed(value: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    members = sys.modules["_sqlite3"].Cursor.__dict__
    for name, item in zip(_STATE, value):
        _core.set_member(self, members[name], item)
    return self


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
    return Policy("RESULT", wrap=wrap, member="row_factory")


def _through_cursor(name: str) -> Policy:
    """Connection.execute and its like are a cursor's in C, past its methods: here they go through them."""

    def wrap(call: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
        cursor = _core.visible(self.cursor, ())
        return _core.visible(getattr(cursor, name), args, kwargs)

    return always(wrap)


def _encode_blob(blob: "Any") -> None:
    return None


def _make_blob(kind: type, value: "Any", self: "Any") -> "Any":
    """An empty shell: everything that would look inside is at the boundary."""
    return _core.allocate(kind)


_executes = adapt(_encode_executed, _decode_executed)

MODULES = [
    Module(
        "_sqlite3",
        functions=PASS,
        special={"enable_shared_cache": RESULT},
        types=[
            Type(
                "Connection",
                special={
                    "__init__": adapt(_opened, _open_empty),
                    "close": RERUN,
                    "execute": _through_cursor("execute"),
                    "executemany": _through_cursor("executemany"),
                    "executescript": _through_cursor("executescript"),
                    "total_changes": RESULT,
                    "in_transaction": RESULT,
                    "create_function": RERUN,
                    "create_aggregate": RERUN,
                    "create_window_function": RERUN,
                    "create_collation": RERUN,
                    "set_authorizer": RERUN,
                    "set_progress_handler": RERUN,
                    "set_trace_callback": RERUN,
                },
                passing="cursor __enter__ iterdump __call__",
            ),
            Type(
                "Cursor",
                methods=PASS,
                special={
                    "execute": _executes,
                    "executemany": _executes,
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
