"""Signals. In replay all signals are blocked: installing a handler is harmless, and nothing arrives."""

from retroscope.recorder.boundary.declare import Module

MODULES = [
    Module("_signal", passing="signal getsignal default_int_handler strsignal siginterrupt valid_signals"),
]
