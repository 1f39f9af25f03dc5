"""Limits of resources: setting them is recorded, not repeated. What fails for want of memory is recorded by itself
(native-core/allocations.h)."""

from retroscope.recorder.boundary.declare import Module

MODULES = [Module("resource")]
