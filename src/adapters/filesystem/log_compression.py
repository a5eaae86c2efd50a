"""Replaces logs that nobody writes any more by compressed ones, safely against a crash at any point.

Each file is written aside, brought to the disk and renamed before the plain one is deleted, and the head of
the log goes last: as long as it is plain, the log is not done. Readers take the plain file where both are.
"""

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from adapters.filesystem.log_paths import LogPaths, compressed_path, in_order
from adapters.filesystem.seekable_zstd import compress
from adapters.filesystem.stored_log import part_path, parts_of

LOG_FRAME_BYTES: Final = 512 * 1024
INDEX_FRAME_BYTES: Final = 64 * 1024
"""A search in an index reads few bytes at many places."""

SMALL_BYTES: Final = 4096
"""What takes one block of the disk, compressed or not."""

_HEAD: Final = re.compile(r"[0-9]+\.log")
_LOOK_AGAIN_SECONDS: Final = 86_400
"""How soon a slice in which nothing was left to do is looked at again: an old job may be tried late."""


class PlainLogs:
    """Finds what is to be compressed, and remembers where there was nothing."""

    def __init__(self, paths: LogPaths) -> None:
        self._paths = paths
        self._look_at: dict[str, float] = {}

    def idle(self, since: datetime) -> Iterator[Path]:
        """The heads of logs to which nothing was written since then, those of the oldest jobs first."""
        for slice_ in self._paths.slices(since):
            now = time.monotonic()
            if self._look_at.get(slice_.name, now) > now:
                continue
            found = False
            for head in (head for job in self._paths.jobs(slice_) for head in _heads(job)):
                found = True
                if not _written_since(head, since):
                    yield head
            if not found:
                self._look_at[slice_.name] = now + _LOOK_AGAIN_SECONDS


def compressing(head: Path) -> Iterator[int]:
    """Compresses a log in steps of bounded work. Does nothing if it is being written, or another does it.

    After the last step the log is compressed. Dropped before that, or killed, it can be begun again.
    """
    with claimed(head) as is_ours, suppress(FileNotFoundError):  # retention was faster
        if not is_ours:
            return
        for file in _files(head):
            frame_bytes = LOG_FRAME_BYTES if file.suffix == ".log" else INDEX_FRAME_BYTES
            yield from _replacing(file, frame_bytes)


def is_written(job: Path) -> bool:
    """Whether a supervisor writes any of the job's logs, or somebody compresses one."""
    for head in (file for file in in_order(job) if _HEAD.fullmatch(file.name)):
        with claimed(head) as is_free:
            if not is_free and head.exists():
                return True
    return False


def _heads(job: Path) -> Iterator[Path]:
    heads = (file for file in in_order(job) if _HEAD.fullmatch(file.name))
    return (head for head in heads if any(size > SMALL_BYTES for _, size in _times_and_sizes(head)))


def _written_since(head: Path, since: datetime) -> bool:
    return any(changed_at >= since.timestamp() for changed_at, _ in _times_and_sizes(head))


def _times_and_sizes(head: Path) -> Iterator[tuple[float, int]]:
    for file in _files(head):
        with suppress(FileNotFoundError):
            status = file.stat()
            yield status.st_mtime, status.st_size


def _files(head: Path) -> list[Path]:
    """Those that are plain, the head last."""
    logs = [*(part_path(head, start) for start in parts_of(head)), head]
    files = (file for log in logs for file in (log.with_suffix(".idx"), log))
    return [file for file in files if file.exists()]


@contextmanager
def claimed(head: Path) -> Iterator[bool]:
    """Whether nobody else writes or compresses the log, nor begins to meanwhile.

    The supervisor that writes a log holds a shared lock on its head for as long as it lives.
    """
    try:
        held = os.open(head, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        yield _is_locked(held, head)
    finally:
        os.close(held)


def _is_locked(held: int, head: Path) -> bool:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever had it before may have deleted it: then this is the lock of a file without a name.
        return os.path.samestat(os.fstat(held), head.stat())
    except OSError:
        return False


def _replacing(file: Path, frame_bytes: int) -> Iterator[int]:
    target = compressed_path(file)
    aside = target.with_name(target.name + ".new")
    try:
        yield from _written_aside(file, aside, frame_bytes)
        aside.rename(target)
    except OSError:  # most often a full disk
        aside.unlink(missing_ok=True)
        raise
    _to_disk(file.parent)
    file.unlink()


def _written_aside(file: Path, aside: Path, frame_bytes: int) -> Iterator[int]:
    """With the times of the plain file: retention counts from them, and so do lines without a record."""
    plain = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    packed = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        yield from compress(plain, packed, frame_bytes)
        status = os.fstat(plain)
        os.utime(packed, ns=(status.st_atime_ns, status.st_mtime_ns))
        os.fsync(packed)
    finally:
        os.close(plain)
        os.close(packed)


def _to_disk(directory: Path) -> None:
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
