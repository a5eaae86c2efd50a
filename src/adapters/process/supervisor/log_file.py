"""One attempt's log and the index beside it (domain.log_index)."""

import os
from contextlib import suppress
from typing import Final

from domain.log_index import RECORD_BYTES, RunWriter

_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
_CLOSED: Final = -1


class LogFile:
    """Appends, and counts what could not be appended. Every call may hang as long as the disk does."""

    def __init__(self, log: str, index: str) -> None:
        self._paths = (log, index)
        self._log = self._index = _CLOSED
        self._index_size = 0
        self._runs = RunWriter()
        self.lost_bytes = 0

    @property
    def size(self) -> int:
        return self._runs.offset

    def open(self) -> bool:
        """False where it cannot be; `append` tries again."""
        try:
            if self._index == _CLOSED:
                self._index = os.open(self._paths[1], _FLAGS, 0o600)
            if self._log == _CLOSED:
                self._log = os.open(self._paths[0], _FLAGS, 0o600)
        except OSError:
            return False
        return True

    def append(self, stream: int, at_us: int, chunk: bytes) -> None:
        written = b""
        if self.open() and self._record(self._runs.record_for(stream, at_us)):
            written = chunk[: self._write(chunk)]
        if written:
            self._runs.wrote(stream, at_us, written)
        self.lost_bytes += len(chunk) - len(written)

    def close(self) -> None:
        """Brings what was written to the disk: "every byte" holds over a power cut once the end is told."""
        for file in (self._log, self._index):
            if file != _CLOSED:
                with suppress(OSError):
                    if self.size:
                        os.fsync(file)
                    os.close(file)

    def _record(self, record: bytes) -> bool:
        """Whole or not at all: the index stays a multiple of RECORD_BYTES long."""
        if not record:
            return True
        with suppress(OSError):
            if os.write(self._index, record) == RECORD_BYTES:
                self._index_size += RECORD_BYTES
                return True
            os.ftruncate(self._index, self._index_size)
        return False

    def _write(self, chunk: bytes) -> int:
        done = 0
        view = memoryview(chunk)
        with suppress(OSError):  # ENOSPC, EDQUOT, EIO, EFBIG: the next chunk tries again
            while done < len(chunk):
                done += os.write(self._log, view[done:])
        return done
