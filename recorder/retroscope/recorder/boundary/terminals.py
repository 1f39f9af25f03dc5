"""Terminals: their modes and sizes."""

from retroscope.recorder.boundary.declare import Module

_KEPT = """
    set_completer get_completer set_startup_hook set_pre_input_hook set_completion_display_matches_hook
"""

MODULES = [Module("termios"), Module("readline", passing=_KEPT)]
