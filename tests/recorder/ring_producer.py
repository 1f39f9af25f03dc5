"""The producing end of a ring in plain Python (docs/architecture.md, Seam 1), to test the drain without a recorder."""

from __future__ import annotations

import mmap
import os
import struct
import time

HEADER = 4096
HEAD, COMMIT, STATE, TAIL, CONSUMER_STATE = 64, 72, 80, 128, 136
RECORDING, CLOSED, GAVE_UP = 1, 2, 3
REFUSES = 2


class RingProducer:
    def __init__(self, descriptor: int) -> None:
        self.map = mmap.mmap(descriptor, os.fstat(descriptor).st_size)
        assert self.map[:8] == b"RSCPRNG1"
        self.size = self.get(8)
        self.head = self.get(HEAD)
        self.parent = os.getppid()
        self.put(STATE, RECORDING)

    def get(self, offset: int) -> int:
        return struct.unpack_from("<Q", self.map, offset)[0]

    def put(self, offset: int, value: int) -> None:
        struct.pack_into("<Q", self.map, offset, value)

    def write(self, data: bytes, *, complete: bool = True) -> bool:
        """Appends; False when the consumer refuses or is dead. `complete`: the record ends here."""
        while data:
            free = self.size - (self.head - self.get(TAIL))
            if not free:
                if self.get(CONSUMER_STATE) == REFUSES or os.getppid() != self.parent:
                    return False
                time.sleep(0.0002)
                continue
            at = self.head % self.size
            piece = data[: min(free, self.size - at)]
            self.map[HEADER + at : HEADER + at + len(piece)] = piece
            self.head += len(piece)
            self.put(HEAD, self.head)
            data = data[len(piece) :]
        if complete:
            self.put(COMMIT, self.head)
        return self.get(CONSUMER_STATE) != REFUSES

    def close(self) -> None:
        self.put(STATE, CLOSED)
