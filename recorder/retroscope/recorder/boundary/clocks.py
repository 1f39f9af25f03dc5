"""Clocks and what depends on the local time zone: time, datetime.

Of a subclass, only what its base class would say crosses the boundary; the subclass makes of it what it likes.
"""

from retroscope.recorder.boundary.declare import PASS, RERUN, Module, Type, adapt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from retroscope.recorder.annotations import Args, Core, Kwargs

_core: "Core" = None


def _encode(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    """A date or datetime as its own state and its zone: None, "utc", or (seconds, name) of a fixed one."""
    state = result.__reduce_ex__(4)[1]
    zone = getattr(result, "tzinfo", None)
    if zone is None:
        return (state[0], None)
    return (state[0], "utc" if zone is type(zone).utc else (zone.utcoffset(None).total_seconds(), zone.tzname(None)))


def _decode(value: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    kind = self if isinstance(self, type) else type(self)
    state, zone = value
    kind = _base(kind, "datetime" if len(state) == 10 else "date")
    if zone is None:
        return kind(state)
    if zone == "utc":
        return kind(state, _utc())
    seconds, name = zone
    datetime = _module()
    return kind(state, datetime.timezone(datetime.timedelta(seconds=seconds), name))


def _module() -> "Any":
    import _datetime  # type: ignore[import-not-found]  # typeshed does not list it

    return _datetime


def _utc() -> "Any":
    return _module().timezone.utc


def _base(kind: "Any", name: str) -> "Any":
    return next(base for base in kind.__mro__ if base.__module__ == "datetime" and base.__name__ == name)


def _is_naive(self: "Any", args: "Args", kwargs: "Kwargs") -> bool:
    return bool(self.tzinfo is None)


def _asks_local(self: "Any", args: "Args", kwargs: "Kwargs") -> bool:
    """astimezone() without a zone, or of a naive time, asks the machine. A subclass is made by its own code, which must
    run visibly: it finds the zone by itself in replay, from TZ."""
    if type(self) is not _base(type(self), "datetime"):
        return False
    return self.tzinfo is None or not (args or kwargs) or bool(args and args[0] is None)


def _has_no_zone(self: "Any", args: "Args", kwargs: "Kwargs") -> bool:
    return len(args) < 2 and not (kwargs or {}).get("tz")


def _as_subclass(kind: "Any", time: "Any", zone: "Any" = None) -> "Any":
    """What C makes of a time it has read: a call of the class."""
    if kind is type(time):
        return time if zone is None else time.replace(tzinfo=zone)
    fields = time.timetuple()[: 3 if type(time).__name__ == "date" else 6]
    if len(fields) == 3:
        return _core.visible(kind, fields)
    made = _core.visible(kind, (*fields, time.microsecond, zone))
    return made.replace(fold=1) if time.fold else made


def _asked_zone(args: "Args", kwargs: "Kwargs") -> "Any":
    """The zone that now() or astimezone() was given, or None; NotImplemented: it will complain."""
    import _datetime

    zone = args[0] if args else (kwargs or {}).get("tz")
    wrong = len(args) > 1 or (kwargs and (args or set(kwargs) != {"tz"}))
    return zone if not wrong and (zone is None or isinstance(zone, _datetime.tzinfo)) else NotImplemented


def _now(call: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    zone = _asked_zone(args, kwargs)
    if zone is NotImplemented:
        return call(self, *args, **(kwargs or {}))
    base = _base(self, "datetime")
    if zone is None:
        return _as_subclass(self, call(base))
    utc = _as_subclass(self, call(base, _utc()).replace(tzinfo=None), zone)
    return _core.visible(zone.fromutc, (utc,))


def _by_base(name: str) -> "Any":
    """The call on the C class; the subclass is made of its result."""

    def wrap(call: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
        return _as_subclass(self, call(_base(self, name), *args, **(kwargs or {})))

    return wrap


def _today(call: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    """In C: the class's own fromtimestamp() of now."""
    if self is _base(self, "date"):
        return call(self)
    import time

    return _core.visible(self.fromtimestamp, (_core.visible(time.time, ()),))


def _astimezone(call: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    """Only the local zone is asked of the machine; other zones are the program's own code."""
    zone = _asked_zone(args, kwargs)
    if zone is NotImplemented:
        return call(self, *args, **(kwargs or {}))
    if zone is not None:
        return _core.visible(call(self).astimezone, (zone,))
    return call(self if self.tzinfo is None else _core.visible(self.astimezone, (_utc(),)))


MODULES = [
    Module("time", passing="get_clock_info strptime", special={"tzset": RERUN}),
    Module(
        "_datetime",
        functions=PASS,
        types=[
            Type(
                "date",
                methods=PASS,
                special={
                    "today": adapt(_encode, _decode, wrap=_today, index=-1),
                    "fromtimestamp": adapt(_encode, _decode, wrap=_by_base("date"), index=-1),
                },
            ),
            Type(
                "datetime",
                methods=PASS,
                special={
                    "now": adapt(_encode, _decode, wrap=_now, index=-1),
                    "utcnow": adapt(_encode, _decode, wrap=_by_base("datetime"), index=-1),
                    "fromtimestamp": adapt(
                        _encode, _decode, when=_has_no_zone, wrap=_by_base("datetime"), index=-1
                    ),
                    "astimezone": adapt(_encode, _decode, when=_asks_local, wrap=_astimezone, index=-1),
                    "timestamp": adapt(None, None, when=_is_naive),
                },
            ),
        ],
    ),
]
