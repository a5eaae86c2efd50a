"""Where a log's files lie, and their bytes."""

import errno
import os
import stat
import time
import weakref
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, Self
from uuid import UUID

from domain.errors import LogNotFound
from domain.job import submitted_at
from domain.log import LogRef

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

    def make_directory(self, ref: LogRef) -> None:
        """For the owner alone. Another thread may remove an empty parent at the same time: then again."""
        job = self._job(ref.job_id)
        self._directory.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        for _ in range(100):
            try:
                for directory in (job.parent.parent, job.parent, job):
                    directory.mkdir(mode=_PRIVATE, exist_ok=True)
            except FileNotFoundError:
                continue
            return
        raise FileNotFoundError(job)

    def remove(self, job_id: UUID) -> None:
        job = self._job(job_id)
        try:
            for file in list(job.iterdir()):
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

    def idle(self, since: datetime) -> Iterator[UUID]:
        """Jobs from before `since`, the oldest first, to whose logs nothing was written since then."""
        for slice_ in _in_order(self._directory):
            if not submitted_at(UUID(slice_.name.ljust(32, "0"))) < since:
                return
            for job in (job for inner in _in_order(slice_) for job in _in_order(inner)):
                job_id = UUID(job.name)
                if submitted_at(job_id) < since and not _written_since(job, since):
                    yield job_id

    def _job(self, job_id: UUID) -> Path:
        return self._directory / job_id.hex[:6] / job_id.hex[6:8] / str(job_id)


def _is_old(job_id: UUID) -> bool:
    return job_id.version == _TIMED and time.time() - submitted_at(job_id).timestamp() > _DAY_SECONDS


def _in_order(directory: Path) -> list[Path]:
    """By name, which is by time; nothing where retention has just removed it."""
    try:
        return sorted(directory.iterdir())
    except FileNotFoundError:
        return []


def _written_since(job: Path, since: datetime) -> bool:
    return any(file.stat().st_mtime >= since.timestamp() for file in _in_order(job))


class OpenFile:
    """Reads a regular file by position. Closed with the object, not before: a thread that a cancelled
    caller left behind may still be reading.
    """

    def __init__(self, path: Path) -> None:
        """Raises FileNotFoundError, also for what is no regular file."""
        # O_NONBLOCK: opening a FIFO would wait for a writer.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            self._fd = os.open(path, flags)
        except OSError as error:
            if error.errno == errno.ELOOP:  # a symlink
                raise FileNotFoundError(path) from None
            raise
        weakref.finalize(self, os.close, self._fd)
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            raise FileNotFoundError(path)
        self.size = status.st_size
        self.changed_us = status.st_mtime_ns // 1000

    @classmethod
    def log(cls, path: Path) -> Self:
        try:
            return cls(path)
        except (FileNotFoundError, NotADirectoryError):
            raise LogNotFound(
                "This attempt has no log: it has not started, or retention has deleted it."
            ) from None

    @classmethod
    def index(cls, path: Path) -> Self | None:
        """A log without its index still has its bytes."""
        try:
            return cls(path)
        except FileNotFoundError:
            return None

    def bytes(self, start: int, stop: int) -> bytes:
        """None beyond the size at opening."""
        stop = min(stop, self.size)
        return os.pread(self._fd, stop - start, start) if start < stop else b""


class LogAndIndex:
    """One file of a log, and the index of what lies in it."""

    def __init__(self, log: OpenFile, index: OpenFile | None) -> None:
        self.log, self.index = log, index

    @classmethod
    def opened(cls, path: Path) -> Self:
        """The log before its index: a record comes before its bytes, so none that is needed is missed."""
        log = OpenFile.log(path)
        return cls(log, OpenFile.index(path.with_suffix(".idx")))


class JoinedFiles:
    """Files that follow each other without a gap, read as one. `start` is the offset of the first byte."""

    def __init__(self, start: int, files: Sequence[OpenFile], unit: int = 1) -> None:
        """Of each file only a multiple of `unit` bytes counts."""
        self.start = self.size = start
        self._files: list[tuple[int, int, OpenFile]] = []
        for file in files:
            begin, self.size = self.size, self.size + file.size - file.size % unit
            self._files.append((begin, self.size, file))

    def bytes(self, start: int, stop: int) -> bytes:
        """None outside of the files."""
        pieces = [
            file.bytes(max(start, begin) - begin, min(stop, end) - begin)
            for begin, end, file in self._files
            if begin < stop and start < end
        ]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
