"""The writing side of the file: LMDB, framed values, and room kept for the last words when the disk is full.

One process writes a trace, and readers do not go through LMDB, so it runs without lock file and without fsync: what
is committed survives the death of this process, not of the machine.
"""

from __future__ import annotations

import errno
import os

import lmdb
from retroscope.trace.encoding import encode_value
from retroscope.trace.layout import KEY_STATE, META, frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_FIRST_MAP = 1 << 26  # bytes of address space, which `ulimit -v` may make scarce; grows
_RESERVE = 256 << 10  # bytes kept allocated behind the data, for a closing commit
_STEP = 1 << 20  # bytes by which the allocation grows
_DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class StorageFull(Exception):
    """Nothing more can be stored; str() is the reason. The last commit is good, and one small commit still fits."""


class Store:
    """Named tables of framed values in the LMDB file `path`, whose descriptor `descriptor` the caller owns."""

    def __init__(
        self, path: str, descriptor: int, tables: Iterable[bytes], state: dict[object, object] | None = None
    ) -> None:
        """Opens or makes the file; StorageFull, lmdb.Error or OSError when that fails.

        `state`: that of an existing trace. It is committed again with the tables that are new to it, as its commit's
        number must be in it.
        """
        self._path = path
        self._descriptor = descriptor
        self._map = max(_FIRST_MAP, 2 * os.fstat(descriptor).st_size)
        try:
            self._environment = lmdb.open(
                os.fsencode(path), subdir=False, lock=False, sync=False, metasync=False, max_dbs=64, map_size=self._map
            )
            self._allocated = os.fstat(descriptor).st_size
            self._tables = {}
            with self._environment.begin(write=True) as transaction:
                for name in tables:
                    self._tables[name] = self._environment.open_db(name, txn=transaction)
                if state is not None:
                    self._put_state(transaction, state)
        except lmdb.Error as error:
            raise StorageFull(_reason(error)) from error
        self._read_usage()

    def _read_usage(self) -> None:
        page_size = self._environment.stat()["psize"]
        self._used = (self._environment.info()["last_pgno"] + 1) * page_size

    def commit(self, values: Iterable[tuple[bytes, bytes, bytes]], state: dict[object, object]) -> None:
        """One transaction: every (table, key, body), then `state`, which says what the whole is now.

        StorageFull when there is no room; then nothing of this commit is in the file.
        """
        values = list(values)
        self._make_room(sum(len(body) + 4096 for _, _, body in values))
        self._write(values, state)

    def last_commit(self, values: Iterable[tuple[bytes, bytes, bytes]], state: dict[object, object]) -> None:
        """A small commit out of the reserve, then once more, so that both of LMDB's newest commits say the same."""
        values = list(values)
        self._write(values, state)
        self._write([], state)

    def remove(self, tables: Iterable[bytes], prefix: bytes, state: dict[object, object]) -> None:
        """One transaction: takes every entry whose key begins so out of them; all, however damaged, for b""."""
        self._make_room(0)
        try:
            with self._environment.begin(write=True) as transaction:
                for table in tables:
                    if not prefix:
                        transaction.drop(self._tables[table], delete=False)
                        continue
                    with transaction.cursor(db=self._tables[table]) as cursor:
                        found = cursor.set_range(prefix)
                        while found and cursor.key().startswith(prefix):
                            found = cursor.delete()
                self._put_state(transaction, state)
        except (lmdb.Error, OSError) as error:
            raise StorageFull(_reason(error)) from error
        self._read_usage()

    def _put_state(self, transaction: lmdb.Transaction, state: dict[object, object]) -> None:
        body = encode_value({**state, "commit": transaction.id()})
        transaction.put(KEY_STATE, frame(META, KEY_STATE, body), db=self._tables[META])

    def _write(self, values: list[tuple[bytes, bytes, bytes]], state: dict[object, object]) -> None:
        try:
            with self._environment.begin(write=True) as transaction:
                for table, key, body in values:
                    transaction.put(key, frame(table, key, body), db=self._tables[table])
                self._put_state(transaction, state)
        except (lmdb.Error, OSError) as error:
            raise StorageFull(_reason(error)) from error
        self._read_usage()

    def _make_room(self, more: int) -> None:
        """Address space and disk for `more` bytes and the reserve."""
        needed = self._used + more + _RESERVE
        if needed > self._map:
            self._map = 2 * needed
            try:
                self._environment.set_mapsize(self._map)
            except lmdb.Error as error:
                raise StorageFull(_reason(error)) from error
        if needed <= self._allocated:
            return
        for size in (needed + _STEP, needed):
            try:
                os.posix_fallocate(self._descriptor, 0, size)
            except OSError as error:
                if error.errno not in _DISK_IS_FULL:
                    return  # the file system cannot reserve: a full disk then ends the trace without last words
                full = error
            else:
                self._allocated = size
                return
        raise StorageFull(_reason(full))

    def copy(self, descriptor: int) -> None:
        """The newest commit into an empty file, without what is free in it; StorageFull when it has no room there."""
        try:
            self._environment.copyfd(descriptor, compact=True)
        except (lmdb.Error, OSError) as error:
            raise StorageFull(_reason(error)) from error

    def size(self) -> int:
        """Bytes that the finished file will have."""
        return self._used

    def close(self) -> None:
        """Closes the file and gives back what was reserved."""
        self._environment.close()
        os.truncate(self._descriptor, self._used)


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError):
        number = error.errno or 0
        return {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}.get(
            number, os.strerror(number).lower()
        )
    if "No space left" in str(error):
        return "the disk is full"
    return f"LMDB says: {error}"
