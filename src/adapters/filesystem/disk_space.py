"""Free space of the file systems that attempts write to."""

import asyncio
import errno
import os
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Final

from application.asking.own_thread import in_own_thread
from domain.errors import DiskUnavailable

FRESH_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 2.0


class FilesystemDiskSpace:
    """DiskSpace. A look that hangs hangs in a thread of its own, and is the only one until it answers."""

    def __init__(self, *directories: Path) -> None:
        self._directories = directories
        self._looked_at = -FRESH_SECONDS
        self._free = 0
        self._look: Future[int] | None = None

    async def free_bytes(self) -> int:
        if time.monotonic() - self._looked_at < FRESH_SECONDS:
            return self._free
        if self._look is None or self._look.done():
            self._look = in_own_thread("disk-space", lambda: min(map(_free_on, self._directories)))
        look = self._look
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                self._free = await asyncio.shield(asyncio.wrap_future(look))
        except TimeoutError:
            raise DiskUnavailable("A disk of data or logs does not answer.") from None
        except OSError as error:
            raise DiskUnavailable(f"A disk of data or logs cannot be used: {error.strerror}.") from None
        self._looked_at = time.monotonic()
        return self._free


def _free_on(directory: Path) -> int:
    """For those who are not root."""
    disk = os.statvfs(directory)
    if disk.f_files and not disk.f_favail:  # a file system that makes its inodes as it needs them counts none
        raise OSError(errno.ENOSPC, "no more files can be made on it (inodes)")
    return disk.f_bavail * disk.f_frsize
