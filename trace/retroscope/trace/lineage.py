"""What a replay of a forked process goes through: the stream of its parent up to the fork, and so on from the first.

A process that was not forked has one part, its own stream. Inputs are numbered through all parts, so the numbers of a
forked process go on where its parent stood.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from retroscope.trace.process import Process


class BrokenLineage(Exception):
    """The stream of an ancestor is not there as far as it would have to be; str() says whose."""


@dataclass(frozen=True, slots=True)
class Part:
    """The first `records` records, `length` bytes, of a process's own stream; `first` is the number of the first."""

    process: int
    first: int
    records: int
    length: int


def lineage(processes: Mapping[int, Process], number: int) -> list[Part]:
    """The parts of the process `number`, its own last. BrokenLineage when they are not all there."""
    process = processes[number]
    steps = [(process, process.records, process.length)]
    while process.forked is not None:
        length, records = process.forked
        parent = processes.get(process.parent or 0)
        if parent is None or parent.id >= process.id:  # a parent has the lower number, so this ends
            raise BrokenLineage(f"the parent of process {process.id} is not in the trace")
        if records > parent.records or length > parent.length:
            raise BrokenLineage(f"process {process.id} was forked by process {parent.id} behind what is stored of that")
        steps.append((parent, records, length))
        process = parent
    parts: list[Part] = []
    for each, records, length in reversed(steps):
        first = parts[-1].first + parts[-1].records if parts else 0
        parts.append(Part(each.id, first, records, length))
    return parts
