"""A recorded process, as a reader of a trace sees it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Process:
    """A recorded process. `ended`: "exited", "signal" or "replaced" (with `number`), "running" or "lost".

    "lost": nobody is writing the trace any more and its end was not seen. `stopped` says why storing ended before the
    process did, else None. `length` is the committed stream in bytes, whole records only. `forked`: of a child of
    os.fork, how many bytes and records of its parent's stream came before it. `replaced`: it became another program.
    """

    id: int
    pid: int
    parent: int | None
    argv: tuple[str, ...]
    cwd: str
    executable: str
    python: str
    started: float
    finished: float | None
    ended: str
    number: int
    stopped: str | None
    records: int
    length: int
    notes: tuple[str, ...] = ()
    forked: tuple[int, int] | None = None
    replaced: bool = False
    facts: dict[str, object] = field(default_factory=dict, compare=False)
