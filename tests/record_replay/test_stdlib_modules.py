"""CPython's own tests as programs: recorded they end as under plain Python, replayed they end so again, to the byte.

The whole list takes an hour: `stdlib_modules.py` sweeps it, docs/compatibility.md says what came of it.
"""

from __future__ import annotations

import sys

import pytest

from tests.record_replay.stdlib_modules import examine

SECONDS = 120  # for each of the three runs, on a busy machine

MODULES = """
    test_abc test_atexit test_bisect test_cmd test_collections test_configparser test_contextlib test_copy
    test_cprofile test_csv test_dataclasses test_dict test_dis test_epoll test_fileinput test_functools
    test_getpass test_glob test_gzip test_hashlib test_heapq test_json test_linecache test_mmap test_optparse
    test_posixpath test_pprint test_pwd test_random test_sched test_secrets test_shelve test_sqlite3
    test_struct test_syslog test_tempfile test_thread test_threading_local test_time test_uuid test_weakset
"""


@pytest.mark.parametrize("module", MODULES.split())
def test_module_is_recorded_and_replayed_exactly(module: str) -> None:
    verdict = examine(sys.executable, module, SECONDS)
    assert (verdict.state, verdict.detail) == ("exact", "")
