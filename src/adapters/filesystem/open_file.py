"""A regular file, read by position."""

import errno
import os
import stat
import weakref
from pathlib import Path


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

    def bytes(self, start: int, stop: int) -> bytes:
        """None beyond the size at opening."""
        stop = min(stop, self.size)
        return os.pread(self._fd, stop - start, start) if start < stop else b""
