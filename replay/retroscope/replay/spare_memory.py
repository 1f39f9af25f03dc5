"""How much memory this machine, or the control group that we are in, has to spare. Linux only; elsewhere: unknown."""

from __future__ import annotations

from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")


def spare_memory() -> int:
    """Bytes that can be had without swapping anything out, a mebibyte where there is nothing; 0: nobody tells."""
    known = [bytes for bytes in (_of_machine(), *_of_groups()) if bytes is not None]
    return max(1 << 20, min(known)) if known else 0


def _of_machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return None


def _of_groups() -> list[int]:
    """Of each group that we are in, out of the one that contains it, which has a limit (control groups, version 2)."""
    try:
        own = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    paths = [line[3:].strip("/") for line in own if line.startswith("0::")]
    if not paths:
        return []
    inner = _GROUPS / paths[0]
    groups = [inner, *inner.parents]
    return [spare for group in groups if group.is_relative_to(_GROUPS) and (spare := _of_group(group)) is not None]


def _of_group(folder: Path) -> int | None:
    try:
        most = (folder / "memory.max").read_text().strip()
        used = int((folder / "memory.current").read_text())
    except (OSError, ValueError):
        return None
    return None if most == "max" else max(0, int(most) - used)
