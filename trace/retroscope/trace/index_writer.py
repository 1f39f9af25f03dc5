"""Writes the index into a finished trace; the rest of the trace is as before after every commit.

One process at a time: a lock on a byte far behind the data says so, which vanishes with the process that holds it. It
is not the lock of the recording: a trace that is being indexed is a finished one. (Linux.)
"""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import lmdb
from retroscope.trace.claim import check_format, is_being_written
from retroscope.trace.commits import check_commits
from retroscope.trace.encoding import encode_value
from retroscope.trace.errors import DamagedTrace, TraceError
from retroscope.trace.index_layout import (
    BLOCK,
    INDEX_BLOCKS,
    INDEX_DATABASES,
    INDEX_KEYS,
    INDEX_META,
    INDEX_VERSION,
    KEYS,
    KEYS_ENTRY,
    ROWS,
    TICK_KEY,
    row_sum,
)
from retroscope.trace.layout import DATABASES, KEY_STATE, META, PROCESS_KEY
from retroscope.trace.pages import PageFile
from retroscope.trace.store import StorageFull, Store
from retroscope.trace.tables import Tables
from retroscope.trace.whole_pages import check_whole
from retroscope.trace.writer import Compressor

_LOCK = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, (1 << 62), 1, 0)

__all__ = ["IndexRefused", "IndexWriter", "NewBlock", "StorageFull"]


class IndexRefused(TraceError):
    """The index cannot be written into this trace."""

    status = 1

    def __init__(self, path: str, why: str) -> None:
        super().__init__(path, f"{path}: {why}, so no index can be written into it")


@dataclass(frozen=True, slots=True)
class NewBlock:
    """Observations of `ticks` ticks from `first` on, of an observer that began just before tick `segment`."""

    first: int
    ticks: int
    segment: int
    data: bytes
    keys: bytes


class IndexWriter:
    """The right to write the index of the trace at `path`, until `close`."""

    def __init__(self, path: str) -> None:
        """Raises IndexRefused, NotATrace or DamagedTrace; nothing has been changed then."""
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise IndexRefused(path, f"it cannot be written ({(error.strerror or str(error)).lower()})") from error
        try:
            self._lock()
            self._state = self._checked_state()
            self._store = Store(path, self._descriptor, (*DATABASES, *INDEX_DATABASES), self._state)
        except StorageFull as full:
            os.close(self._descriptor)
            raise IndexRefused(path, str(full)) from full
        except BaseException:
            os.close(self._descriptor)
            raise
        self._compressor = Compressor()
        self._rows: dict[int, int] = {}

    def _lock(self) -> None:
        if is_being_written(self._descriptor):
            raise IndexRefused(self.path, "it is still being recorded")
        try:
            fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLK, _LOCK)
        except OSError as error:
            raise IndexRefused(self.path, "another process is writing its index") from error

    def _checked_state(self) -> dict[object, object]:
        """LMDB trusts what it writes to, so this file is checked page by page before."""
        pages = PageFile(self._descriptor, self.path)
        meta = pages.table(META)
        check_format(pages, meta)
        tables = Tables(pages)
        check_commits(tables)
        check_whole(pages)
        if KEY_STATE not in meta or set(DATABASES) - pages.names():
            raise pages.damaged("something is missing from it")
        return dict(tables.facts(tables.checked(META, KEY_STATE, meta[KEY_STATE])).items())

    def forget(self, process: int | None) -> None:
        """Takes the index of a process, or of all, out, at once. May raise StorageFull.

        Where what is there is damaged, nobody knows whose it is: then all goes.
        """
        prefix = b"" if process is None or self._is_damaged() else PROCESS_KEY.pack(process)
        with self._telling_damage():
            self._store.remove(INDEX_DATABASES, prefix, self._state)
        self._rows.clear()

    def _is_damaged(self) -> bool:
        tables = Tables(PageFile(self._descriptor, self.path))
        try:
            if any(len(key) != TICK_KEY.size for key in tables.places(INDEX_BLOCKS)):
                return True
            return any(
                len(found) != key.size
                for table, key in ((INDEX_META, PROCESS_KEY), (INDEX_KEYS, TICK_KEY))
                for found, _ in tables.rows(table)
            )
        except DamagedTrace:
            return True

    @contextmanager
    def _telling_damage(self) -> Iterator[None]:
        """What LMDB finds damaged is no lack of room."""
        try:
            yield
        except StorageFull as full:
            if isinstance(full.__cause__, lmdb.CorruptedError):
                raise DamagedTrace(self.path, str(full)) from full
            raise

    def add(self, process: int, blocks: Sequence[NewBlock], facts: dict[str, object]) -> None:
        """One commit: the next blocks, in order, and what is to be known of the index now; may raise StorageFull."""
        values, raw = [], []
        for block in blocks:
            encoding, packed = self._compressor.encode(block.data)
            body = BLOCK.pack(encoding, len(block.data)) + packed
            values.append((INDEX_BLOCKS, TICK_KEY.pack(process, block.first), body))
            count = len(block.keys) // 4
            raw += [KEYS_ENTRY.pack(block.first, block.ticks, block.segment, zlib.crc32(body), count), block.keys]
        rows = self._sum_of_rows(process)
        if blocks:
            keys = b"".join(raw)
            encoding, packed = self._compressor.encode(keys)
            row = KEYS.pack(encoding, len(keys), len(blocks)) + packed
            values.append((INDEX_KEYS, TICK_KEY.pack(process, blocks[0].first), row))
            rows += row_sum(*values[-1][1:])
        values.append(self._facts(process, facts, rows))
        with self._telling_damage():
            self._store.commit(values, self._state)
        self._rows[process] = rows

    def _facts(self, process: int, facts: dict[str, object], rows: int) -> tuple[bytes, bytes, bytes]:
        body = encode_value({**facts, "version": INDEX_VERSION, ROWS: rows})
        return INDEX_META, PROCESS_KEY.pack(process), body

    def _sum_of_rows(self, process: int) -> int:
        """Over the rows of keys that it has already."""
        if process not in self._rows:
            rows = Tables(PageFile(self._descriptor, self.path)).rows(INDEX_KEYS)
            self._rows[process] = sum(row_sum(*row) for row in rows if row[0].startswith(PROCESS_KEY.pack(process)))
        return self._rows[process]

    def close(self) -> None:
        """Leaves the trace as readers expect a finished one."""
        try:
            with self._telling_damage():
                self._store.last_commit([], self._state)
        finally:
            self._store.close()
            os.close(self._descriptor)

    def compact(self) -> None:
        """Puts a copy in the place of the trace that has only what is in use; whoever has it open keeps the old file.

        StorageFull when there is no room for it; then everything is as it was.
        """
        final = os.path.realpath(self.path)
        folder, name = os.path.split(final)
        temporary = os.path.join(folder, f".{name}.{os.urandom(4).hex()}.new")
        try:
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageFull((error.strerror or str(error)).lower()) from error
        try:
            self._store.copy(descriptor)
            copy = Store(temporary, descriptor, DATABASES, self._state)
            copy.last_commit([], self._state)
            copy.close()
            os.fchmod(descriptor, os.fstat(self._descriptor).st_mode & 0o777)
            os.rename(temporary, final)
        except BaseException:
            os.unlink(temporary)
            raise
        finally:
            os.close(descriptor)


def delete_index(path: str, process: int | None = None) -> None:
    """Takes the index of a process, or of all, out of a trace, and gives its room back where that is possible."""
    writer = IndexWriter(path)
    try:
        writer.forget(process)
        writer.compact()
    except StorageFull:
        pass  # the index is gone all the same, and a later one will use its room
    finally:
        writer.close()
