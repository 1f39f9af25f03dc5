"""Signals. Handlers run at recorded places (recorder/native-core/signals.h). In replay all signals are blocked: nothing
arrives, and the operating system is not told of handlers."""

from retroscope.recorder.boundary.declare import Module, thread

MODULES = [
    Module(
        "_signal",
        special={"signal": thread("SIGNAL_INSTALL"), "getsignal": thread("SIGNAL_GET")},
        passing="default_int_handler strsignal siginterrupt valid_signals",
    ),
]
