"""Aborts in C."""

import ctypes

marker = "before"
ctypes.CDLL(None).abort()
