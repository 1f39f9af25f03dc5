"""Clocks and what depends on the local time zone: time, datetime."""

import sys

from retroscope.recorder.boundary.declare import PASS, RERUN, Module, Type, adapt, always

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from retroscope.recorder.annotations import Args, Core, Kwargs

_core: "Core" = None


def bind(core: "Core") -> None:
    global _core
    _core = core


def _encode(result: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    """A date or datetime as its own state and its zone: None, "argument", or (seconds, name) of a fixed one."""
    state = result.__reduce_ex__(4)[1]
    zone = getattr(result, "tzinfo", None)
    if zone is None:
        return (state[0], None)
    given = args[-1] if args else (kwargs or {}).get("tz")
    if zone is given:
        return (state[0], "argument")
    return (state[0], (zone.utcoffset(None).total_seconds(), zone.tzname(None)))


def _decode(value: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    kind = self if isinstance(self, type) else type(self)
    state, zone = value
    if zone is None:
        return kind(state)
    if zone == "argument":
        return kind(state, args[-1] if args else (kwargs or {})["tz"])
    return kind(state, _fixed_zone(*zone))


def _fixed_zone(seconds: float, name: str) -> "Any":
    import _datetime  # type: ignore[import-not-found]  # the C module itself, which typeshed does not list

    return _datetime.timezone(_datetime.timedelta(seconds=seconds), name)


def _is_naive(self: "Any", args: "Args", kwargs: "Kwargs") -> bool:
    return bool(self.tzinfo is None)


def _asks_local(self: "Any", args: "Args", kwargs: "Kwargs") -> bool:
    """astimezone() without a zone, or of a naive time, asks the machine."""
    return self.tzinfo is None or not (args or kwargs) or bool(args and args[0] is None)


def _has_no_zone(self: "Any", args: "Args", kwargs: "Kwargs") -> bool:
    return len(args) < 2 and not (kwargs or {}).get("tz")


def _utcnow(call: "Any", self: "Any", args: "Args", kwargs: "Kwargs") -> "Any":
    """From 3.12 on it warns first, which runs code of the program."""
    import _warnings

    text = (
        "datetime.datetime.utcnow() is deprecated and scheduled for removal in a future version. Use "
        "timezone-aware objects to represent datetimes in UTC: datetime.datetime.now(datetime.UTC)."
    )
    _core.visible(_warnings.warn, (text, DeprecationWarning, 2))
    import _datetime

    return _core.visible(self.now, (_datetime.timezone.utc,)).replace(tzinfo=None)


_local = adapt(_encode, _decode)

MODULES = [
    Module("time", passing="get_clock_info", special={"tzset": RERUN}),
    Module(
        "_datetime",
        functions=PASS,
        types=[
            Type("date", methods=PASS, special={"today": _local, "fromtimestamp": _local}),
            Type(
                "datetime",
                methods=PASS,
                special={
                    "now": _local,
                    "utcnow": _local if sys.hexversion < 0x030C0000 else always(_utcnow),
                    "fromtimestamp": adapt(_encode, _decode, when=_has_no_zone),
                    "astimezone": adapt(_encode, _decode, when=_asks_local),
                    "timestamp": adapt(None, None, when=_is_naive),
                },
            ),
        ],
    ),
]
