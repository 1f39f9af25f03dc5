"""Runs a command on a system that has no seccomp filters: `without_seccomp.py COMMAND…`; x86-64 and arm64.

It installs one filter that fails every further seccomp() call.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

SECCOMP = {"x86_64": 317, "aarch64": 277}[platform.machine()]
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000 | 38

PROGRAM = [(LOAD, 0, 0, 0), (EQUAL, 0, 1, SECCOMP), (RETURN, 0, 0, FAIL), (RETURN, 0, 0, ALLOW)]


def main() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *row) for row in PROGRAM))
    filter_ = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(PROGRAM), ctypes.addressof(code)))
    no_new_privileges, mode_filter = 38, 1
    if libc.prctl(no_new_privileges, 1, 0, 0, 0) or libc.syscall(ctypes.c_long(SECCOMP), mode_filter, 0, filter_):
        raise OSError(ctypes.get_errno(), "no filter")
    os.execv(sys.argv[1], sys.argv[1:])


main()
