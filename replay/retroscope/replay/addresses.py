"""Addresses that are the same in every replay of a recording. Linux only.

Replay processes are deterministic but for where the system puts them. With that choice taken away, an object has the
same address at the same tick in every session, so that what an index says of an address holds for the process at hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_NO_RANDOMIZATION = 0x0040000  # ADDR_NO_RANDOMIZE of <sys/personality.h>
_ASK = 0xFFFFFFFF


@contextmanager
def fixed_addresses() -> Iterator[bool]:
    """Programs that this thread starts meanwhile get no random addresses; False where the system does not allow it.

    The personality belongs to the thread: no other part of this process is concerned.
    """
    try:
        from ctypes import CDLL

        personality = CDLL(None).personality
    except (ImportError, OSError, AttributeError):  # a Python without ctypes, a system without personalities
        yield False
        return
    was = personality(_ASK)
    allowed = was != -1 and personality(was | _NO_RANDOMIZATION) != -1
    try:
        yield allowed
    finally:
        if allowed:
            personality(was)
