"""Terminals: their modes and sizes."""

from retroscope.recorder.boundary.declare import Module

MODULES = [Module("termios"), Module("readline")]
