"""Dies in C: reads the null pointer."""

import ctypes

marker = "before"
ctypes.string_at(0)
