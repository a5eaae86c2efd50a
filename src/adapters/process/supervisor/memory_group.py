"""A limit on the memory of a tree that the kernel keeps (cgroups(7)), where its controller may be used."""

import os
from contextlib import suppress
from typing import Final

from adapters.process.supervisor.group import V1, V2, Group, read, write
from adapters.process.supervisor.kernel import figure

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_LIMITS: Final = ((V2, "memory.max"), (V1, "memory.limit_in_bytes"))
_SWAP: Final = {V2: ("memory.swap.max", 0), V1: ("memory.memsw.limit_in_bytes", 1)}
"""The file, and how many times the limit it takes: version 1 counts memory and swap together."""
_COUNTERS: Final = ("memory.events", "memory.oom_control")


class MemoryGroup:
    """Counts what is resident, shared pages once, and files in memory; those are given back before anything
    is killed. Of version 1 the kernel kills one process, and whoever asks `oom_kills` the rest.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def limit(self, most: int) -> str | None:
        """The kind of group that keeps the limit now; None where none does."""
        with suppress(OSError):
            os.makedirs(self.path, 0o755, exist_ok=True)
        for kind, name in _LIMITS:
            if self._is_set(name, most):
                swap, times = _SWAP[kind]
                self._set_if_there(swap, most * times)
                self._set_if_there("memory.oom.group", 1)
                return kind
        return None

    def oom_kills(self) -> int:
        """How many of its processes the kernel has killed because of the limit."""
        for name in _COUNTERS:
            if (kills := figure(self._file(name), b"oom_kill ")) is not None:
                return kills
        return 0

    def remove(self) -> None:
        Group(self.path).clear()

    def _is_set(self, name: str, most: int) -> bool:
        """Read again, so that the record says what is, and not what was asked for."""
        with suppress(OSError):  # there is no such file, or it takes no such number
            write(self._file(name), str(most))
            now = read(self._file(name))
            return now.isdigit() and int(now) <= most + _PAGE
        return False

    def _set_if_there(self, name: str, number: int) -> None:
        with suppress(OSError):
            write(self._file(name), str(number))

    def _file(self, name: str) -> str:
        return os.path.join(self.path, name)
