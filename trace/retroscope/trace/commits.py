"""Which commit of a finished trace is the newest: LMDB's first pages say so, and the commits themselves must agree."""

from __future__ import annotations

from retroscope.trace.errors import TraceError
from retroscope.trace.layout import KEY_STATE, META, unframe
from retroscope.trace.tables import Tables


def check_commits(tables: Tables) -> None:
    """Both of LMDB's first pages must lead to the commit that they name: else an older one could pass as newest."""
    snapshots = tables.pages.settled()
    for snapshot in snapshots:
        try:
            stored = tables.pages.table_at(snapshot, META).get(KEY_STATE)
        except TraceError:
            continue  # the older commit, and its pages are in use again
        body = None if stored is None else unframe(META, KEY_STATE, stored)
        if body is None or tables.facts(body).get("commit") == snapshot.transaction:
            continue
        if tables.pages.settled()[0].transaction == snapshots[0].transaction:
            raise tables.damaged("its newest commit is not where it should be")
        check_commits(tables)  # its index is being written
        return
