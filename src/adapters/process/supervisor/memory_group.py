"""A limit on the memory of a tree that the kernel keeps (cgroups(7)), where its controller may be used."""

import os
from contextlib import suppress
from typing import Final

from adapters.process.supervisor.group import V1, V2, Group

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
                file, times = _SWAP[kind]
                self._write(file, most * times)
                self._write("memory.oom.group", 1)
                return kind
        return None

    def oom_kills(self) -> int:
        """How many of its processes the kernel has killed because of the limit."""
        for name in _COUNTERS:
            for line in self._read(name).splitlines():
                word, _, count = line.partition(" ")
                if word == "oom_kill":
                    return int(count)
        return 0

    def remove(self) -> None:
        Group(self.path).clear()

    def _is_set(self, name: str, most: int) -> bool:
        """Read again, so that the record says what is, and not what was asked for."""
        if not self._write(name, most):
            return False
        now = self._read(name).strip()
        return now.isdigit() and int(now) <= most + _PAGE

    def _write(self, name: str, number: int) -> bool:
        """False where there is no such file, or it takes no such number."""
        try:
            file = os.open(os.path.join(self.path, name), os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(file, str(number).encode())
            finally:
                os.close(file)
        except OSError:
            return False
        return True

    def _read(self, name: str) -> str:
        with suppress(OSError), open(os.path.join(self.path, name)) as file:
            return file.read()
        return ""
