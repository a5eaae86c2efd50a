"""What a tree may take: kept by the kernel for each process, or polled here for all of them together."""

import math
import resource
from collections.abc import Mapping
from typing import Final, NamedTuple

from adapters.process.supervisor.kernel import LINUX

Wanted = Mapping[str, float | None]
"""The fields of domain.resources.Resources."""

_CPU_BACKSTOP_SECONDS: Final = 2
"""A single process past its limit is stopped by polling; this is for when the supervisor is starved."""
_PER_TREE: Final = ("memory_bytes", "cpu_seconds", "processes")
_OF_THE_PROGRAM: Final = ("memory_bytes", "cpu_seconds", "open_files")


class Taken(NamedTuple):
    """What a tree has taken until now; memory only as far as `Limits.exceeded` asks."""

    memory_bytes: int
    cpu_seconds: float
    processes: int


def are_polled(wanted: Wanted) -> bool:
    return LINUX and any(wanted.get(name) is not None for name in _PER_TREE)


def exceeded(wanted: Wanted, taken: Taken) -> str | None:
    """The domain.attempt.Stop for the first limit that is passed."""
    if _is_over(taken.memory_bytes, wanted.get("memory_bytes")):
        return "memory"
    if _is_over(taken.processes, wanted.get("processes")):
        return "processes"
    return "cpu" if _is_over(taken.cpu_seconds, wanted.get("cpu_seconds")) else None


def enforcement(wanted: Wanted) -> dict[str, str]:
    """How each limit that was asked for is kept: never more than is true."""
    polled = "polled" if LINUX else "none"
    cpu = "polled+rlimit" if LINUX else "rlimit"
    how = {"memory_bytes": polled, "cpu_seconds": cpu, "open_files": "rlimit", "processes": polled}
    return {name: how[name] for name, value in wanted.items() if value is not None}


def restrict(wanted: Wanted) -> None:
    """In the program's process, before exec. No RLIMIT_AS: a JVM reserves far more than it uses. No
    RLIMIT_NPROC: it counts what the user has on the whole machine.
    """
    if (files := wanted.get("open_files")) is not None:
        _lower(resource.RLIMIT_NOFILE, int(files), int(files))
    if (seconds := wanted.get("cpu_seconds")) is not None:
        soft = math.ceil(seconds) + _CPU_BACKSTOP_SECONDS
        _lower(resource.RLIMIT_CPU, soft, soft + _CPU_BACKSTOP_SECONDS)


def are_inherited(wanted: Wanted) -> bool:
    """Whether a program needs more for them than to be watched: `restrict`, or a group of its own."""
    return any(wanted.get(name) is not None for name in _OF_THE_PROGRAM)


def _lower(kind: int, soft: int, hard: int) -> None:
    """Never raises a limit that is already lower."""
    _, most = resource.getrlimit(kind)
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(kind, (soft, hard))


def _is_over(taken: float, limit: float | None) -> bool:
    return limit is not None and taken > limit
