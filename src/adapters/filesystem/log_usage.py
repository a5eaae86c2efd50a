"""What logs take of the disk, and which of them were written longest ago."""

import heapq
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from adapters.filesystem.log_paths import LogPaths, in_order

_BLOCK_BYTES = 512
"""The unit of st_blocks, whatever the file system's own blocks are (stat(2))."""


@dataclass(frozen=True, slots=True, order=True)
class JobUsage:
    """The directory of one job's logs, ordered by when something was last written there."""

    written_at: float
    job: Path
    disk_bytes: int


class LogUsage:
    """All logs together, and the `count` jobs whose logs were written longest ago."""

    def __init__(self, paths: LogPaths, count: int) -> None:
        self.disk_bytes = 0
        self.oldest: list[JobUsage] = []
        self._paths = paths
        self._count = count

    def measuring(self) -> Iterator[int]:
        """A slice a step."""
        for slice_ in self._paths.slices():
            jobs = [_usage(job) for job in self._paths.jobs(slice_)]
            self.disk_bytes += sum(job.disk_bytes for job in jobs)
            self.oldest = heapq.nsmallest(self._count, [*self.oldest, *jobs])
            yield len(jobs)


def _usage(job: Path) -> JobUsage:
    written_at, blocks = 0.0, 0
    for file in (job, *in_order(job)):
        with suppress(FileNotFoundError):  # retention, or compression, was faster
            status = file.lstat()
            blocks += status.st_blocks
            if file != job:
                written_at = max(written_at, status.st_mtime)
    return JobUsage(written_at, job, blocks * _BLOCK_BYTES)
