"""Where the files of logs lie."""

import re
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import Final
from urllib.parse import quote
from uuid import UUID

from domain.job import submitted_at
from domain.log import LogRef

COMPRESSED: Final = ".zst"
_HOSTS: Final = "hosts"
_SLICE: Final = re.compile("[0-9a-f]{6}")
_PRIVATE: Final = 0o700
_DAY_SECONDS: Final = 86_400
_TIMED: Final = 7
"""The version of a UUID whose first 48 bits are milliseconds since 1970 (RFC 9562)."""


class LogPaths:
    """`<directory>/<slice>/<slice>/<job id>/<fence>.log`.

    The slices are the first digits of the id, so they are times: one inner directory is 65 seconds of
    jobs, one outer 4.7 hours, and what retention has emptied goes away as a whole.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()

    def log(self, ref: LogRef) -> Path:
        return self._job(ref.job_id) / f"{ref.fence}.log"

    def host(self, name: str) -> Path:
        """There, if workers of this host write into this directory: so whoever sees it sees their logs."""
        return self._directory / _HOSTS / f"{quote(name, safe='')}.host"

    def announce(self, host: str) -> None:
        self.host(host).parent.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        self.host(host).touch(mode=0o600)

    def remove(self, job_id: UUID) -> None:
        job = self._job(job_id)
        try:
            for file in sorted(job.iterdir(), key=_order_of_removal):
                file.unlink(missing_ok=True)
            job.rmdir()
            # A young slice may be about to get its next job.
            if _is_old(job_id):
                job.parent.rmdir()
                job.parent.parent.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            if job.exists():
                raise

    def slices(self, before: datetime | None = None) -> Iterator[Path]:
        """The outer ones that began before then, the oldest first. A volume may hold a `lost+found` too."""
        slices = (path for path in in_order(self._directory) if _SLICE.fullmatch(path.name))
        return takewhile(lambda path: before is None or _began_at(path) < before, slices)

    def jobs(self, slice_: Path) -> Iterator[Path]:
        """The directories of its jobs, the oldest first."""
        return (job for inner in in_order(slice_) for job in in_order(inner))

    def idle(self, since: datetime) -> Iterator[UUID]:
        """Jobs from before `since`, the oldest first, to whose logs nothing was written since then."""
        for slice_ in self.slices(since):
            for job in self.jobs(slice_):
                job_id = UUID(job.name)
                if submitted_at(job_id) < since and not _written_since(job, since):
                    yield job_id

    def _job(self, job_id: UUID) -> Path:
        digits = job_id.hex
        return Path(f"{self._directory}/{digits[:6]}/{digits[6:8]}/{job_id}")


def _began_at(slice_: Path) -> datetime:
    """Before the first job of this outer slice."""
    return submitted_at(UUID(slice_.name.ljust(32, "0")))


def compressed_path(path: Path) -> Path:
    """Where the bytes of this file lie once it is compressed."""
    return path.with_name(path.name + COMPRESSED)


def _order_of_removal(file: Path) -> tuple[bool, int]:
    """Heads before parts, and indexes last: whoever opens a log meanwhile finds all of it, or none."""
    plain = file.name.removesuffix(COMPRESSED)
    return plain.endswith(".idx"), plain.count(".")


def _is_old(job_id: UUID) -> bool:
    return job_id.version == _TIMED and time.time() - submitted_at(job_id).timestamp() > _DAY_SECONDS


def in_order(directory: Path) -> list[Path]:
    """By name, which is by time; nothing where retention has just removed it."""
    try:
        return sorted(directory.iterdir())
    except FileNotFoundError:
        return []


def _written_since(job: Path, since: datetime) -> bool:
    return any(file.stat().st_mtime >= since.timestamp() for file in in_order(job))
