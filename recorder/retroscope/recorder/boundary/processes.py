"""Other programs: started through `_posixsubprocess`, `posix` (see descriptors)."""

from retroscope.recorder.boundary.declare import Module

MODULES = [Module("_posixsubprocess")]
