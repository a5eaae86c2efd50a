"""A process and all below it, by /proc."""

import os
from collections.abc import Iterator
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(root: int) -> float:
    """User and system time so far, of those that live and of those that were reaped."""
    return sum(sum(map(int, _stat(pid)[11:15])) for pid in _tree(root)) / TICKS


def pss_by_process(root: int) -> list[tuple[str, int]]:
    """Bytes, a page that several share divided among them; the largest first."""
    found = [(_name(pid), _pss(pid)) for pid in _tree(root)]
    return sorted(found, key=lambda item: -item[1])


def _tree(root: int) -> Iterator[int]:
    below: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            below.setdefault(int(_stat(int(path.name))[1]), []).append(int(path.name))
        except OSError:
            continue
    pending = [root]
    while pending:
        pid = pending.pop()
        yield pid
        pending += below.get(pid, [])


def _stat(pid: int) -> list[str]:
    """From the state on (proc_pid_stat(5), field 3)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _pss(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _name(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").split()
    return " ".join(word for word in words if not word.startswith("-"))[-70:]
