"""What a job's process tree may take of its machine."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from domain.errors import Place

MIN_MEMORY_BYTES: Final = 2**20
MIN_OPEN_FILES: Final = 16
"""Fewer, and an interpreter fails before the script's first line, in words that name no limit."""
MAX_OPEN_FILES: Final = 2**20
MAX_BYTES: Final = 2**50
MAX_CPU_SECONDS: Final = 366 * 24 * 3600
MAX_PROCESSES: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Limits of one attempt; None: none. All but `open_files`, which is each process's own, are for
    the whole tree. How each was enforced stands in `Exit.limits`.
    """

    memory_bytes: int | None = None
    cpu_seconds: float | None = None
    open_files: int | None = None
    processes: int | None = None

    def faults(self) -> Iterator[Place]:
        """Each value outside its range. Written so that NaN is a fault too."""
        yield from _outside("memory_bytes", self.memory_bytes, MIN_MEMORY_BYTES, MAX_BYTES)
        yield from _outside("open_files", self.open_files, MIN_OPEN_FILES, MAX_OPEN_FILES)
        yield from _outside("processes", self.processes, 1, MAX_PROCESSES)
        if self.cpu_seconds is not None and not 0 < self.cpu_seconds <= MAX_CPU_SECONDS:
            yield Place("/resources/cpu_seconds", f"must be more than 0 and at most {MAX_CPU_SECONDS}")


def _outside(name: str, value: int | None, least: int, most: int) -> Iterator[Place]:
    if value is not None and not least <= value <= most:
        yield Place(f"/resources/{name}", f"must be from {least} to {most}")


UNLIMITED: Final = Resources()
