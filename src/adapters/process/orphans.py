"""Processes of attempts that have no supervisor any more: found by their environment, and killed.

The last net, for when worker, zygote and supervisor were killed together. It misses a process that both
scrubbed its environment and left its parents (2 of 9 evil programs were caught by the tag alone):
while a supervisor or its zygote lives, the tree below them is what counts, and misses none.
"""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from adapters.process.supervisor import tree
from adapters.process.supervisor.launch import WORK_DIR_VARIABLE

_PATIENCE_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.005


def stop_orphans(work: Path, is_orphaned: Callable[[str], bool]) -> int:
    """Kills those whose attempt's name `is_orphaned`, and all below them, until a look at every process
    finds none; how many are left, if some cannot be killed.
    """
    until = time.monotonic() + _PATIENCE_SECONDS
    while found := _find(work, is_orphaned):
        for process in found:
            tree.send(process, signal.SIGKILL)
        if time.monotonic() > until:
            return len(found)
        time.sleep(_PAUSE_SECONDS)
    return 0


def _find(work: Path, is_orphaned: Callable[[str], bool]) -> set[tree.Identity]:
    tag = f"{WORK_DIR_VARIABLE}={work}/".encode()
    processes = tree.snapshot()
    found = set()
    for pid, (_, state, started) in processes.items():
        name = None if state in tree.DEAD or pid == os.getpid() else _tagged(pid, tag)
        if name is not None and is_orphaned(name):
            found |= {(pid, started), *tree.below(pid, processes)}
    return found


def _tagged(pid: int, tag: bytes) -> str | None:
    """The name of the attempt in whose environment it runs."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    for variable in environment.split(b"\0"):
        if variable.startswith(tag):
            return os.fsdecode(variable[len(tag) :])
    return None
