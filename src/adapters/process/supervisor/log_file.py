"""One attempt's log and the index beside it (domain.log_index), bounded: a head, and the latest parts."""

import fcntl
import os
from contextlib import suppress
from typing import Final

from domain.log_index import RECORD_BYTES, SYSTEM, RunWriter, index_name, part_name

_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
_CLOSED: Final = -1
_ROOM_BYTES: Final = 64 * 1024
_TRIES: Final = 100


class Part:
    """One file of the log with its index. `start` is the offset of its first byte in all that was written."""

    def __init__(self, log: str, index: str, start: int) -> None:
        self.start = self.stop = start
        self._paths = (log, index)
        self._log = self._index = _CLOSED
        self._index_size = 0

    def open(self) -> bool:
        """False where it cannot be; to be tried again."""
        try:
            if self._index == _CLOSED:
                self._index = _opened(self._paths[1])
            if self._log == _CLOSED:
                self._log = _opened(self._paths[0])
                _say_that_it_is_written(self._log)
        except OSError:
            return False
        return True

    def record(self, record: bytes) -> bool:
        """Whole or not at all: the index stays a multiple of RECORD_BYTES long."""
        if not record:
            return True
        with suppress(OSError):
            if os.write(self._index, record) == RECORD_BYTES:
                self._index_size += RECORD_BYTES
                return True
            os.ftruncate(self._index, self._index_size)
        return False

    def write(self, chunk: bytes) -> int:
        done = 0
        view = memoryview(chunk)
        with suppress(OSError):  # ENOSPC, EDQUOT, EIO, EFBIG: the next chunk tries again
            while done < len(chunk):
                done += os.write(self._log, view[done:])
        self.stop += done
        return done

    def has_room(self) -> bool:
        """Whether the disk has some room again."""
        with suppress(OSError):
            disk = os.fstatvfs(self._log) if self.open() else None
            return disk is not None and disk.f_bavail * disk.f_frsize >= _ROOM_BYTES
        return False

    def close(self) -> None:
        """Brings what was written to the disk: "every byte" holds over a power cut once the end is told."""
        for file in (self._log, self._index):
            if file != _CLOSED:
                with suppress(OSError):
                    if self.stop > self.start:
                        os.fsync(file)
                    os.close(file)

    def delete(self) -> None:
        """The bytes first: a part without its index would be read as stdout of one time."""
        for file, path in zip((self._log, self._index), self._paths, strict=True):
            with suppress(OSError):
                os.unlink(path)
            if file != _CLOSED:
                with suppress(OSError):
                    os.close(file)


def _opened(path: str) -> int:
    """Raises OSError."""
    with suppress(FileNotFoundError):
        return os.open(path, _FLAGS, 0o600)
    _make_directory(os.path.dirname(path))
    return os.open(path, _FLAGS, 0o600)


def _make_directory(path: str) -> None:
    """For the owner alone, and those above it. Raises OSError."""
    for _ in range(_TRIES):
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            return
        except FileNotFoundError:  # once more too where retention has just removed one that was empty
            _make_directory(os.path.dirname(path))
        else:
            return


def _say_that_it_is_written(log: int) -> None:
    """As long as this process lives: whoever compresses logs leaves those alone that it cannot lock."""
    with suppress(OSError):  # a file system without locks has none for the other either
        fcntl.flock(log, fcntl.LOCK_SH | fcntl.LOCK_NB)


class LogFile:
    """Appends, and counts what could not be appended. Every call may hang as long as the disk does.

    Half of `max_bytes` is the head's, a quarter each of the two latest parts'. Before a part is begun
    that would be the third, the oldest is deleted: there are never more than `max_bytes` on the disk.
    """

    def __init__(self, log: str, index: str, max_bytes: int) -> None:
        self._log = log
        self._head = self._part = Part(log, index, 0)
        self._before: Part | None = None
        self._max_bytes = max_bytes
        self._runs = RunWriter()
        self._unsaid_bytes = 0
        self._note_bytes = 0
        self._failed_bytes = 0

    @property
    def kept_bytes(self) -> int:
        """Of the program: what this wrote itself does not count."""
        return self._runs.offset - self._note_bytes - self._cut_bytes

    @property
    def lost_bytes(self) -> int:
        return self._failed_bytes + self._cut_bytes

    @property
    def _cut_bytes(self) -> int:
        first = self._before or self._part
        return 0 if first is self._head else first.start - self._head.stop

    def open(self) -> bool:
        """False where it cannot be; `append` tries again."""
        return self._part.open()

    def append(self, stream: int, at_us: int, chunk: bytes) -> None:
        if self._unsaid_bytes and self._part.has_room():
            self._say_what_was_lost(at_us)
        failed = len(chunk) - self._append(stream, at_us, chunk)
        self._failed_bytes += failed
        self._unsaid_bytes += failed

    def close(self) -> None:
        if self._unsaid_bytes and self._part.has_room():
            self._say_what_was_lost(self._runs.latest_us)
        for part in dict.fromkeys((self._head, self._before, self._part)):
            if part is not None:
                part.close()

    def _say_what_was_lost(self, at_us: int) -> None:
        """A line of the system's. Half of one, where a quota ends in it, is followed by a whole one."""
        begin = "\n" if self._runs.within_line else ""
        note = f"{begin}[etl: {self._unsaid_bytes} bytes lost: they could not be written]\n".encode()
        written = self._append(SYSTEM, at_us, note)
        self._note_bytes += written
        if written == len(note):
            self._unsaid_bytes = 0

    def _append(self, stream: int, at_us: int, chunk: bytes) -> int:
        """How much of it could be."""
        done = 0
        while done < len(chunk):
            fits = self._fitting(chunk, done)
            if fits == 0:
                self._next_part()
                continue
            if not (self._part.open() and self._part.record(self._runs.record_for(stream, at_us))):
                break
            piece = chunk if fits == len(chunk) else chunk[done : done + fits]
            written = self._part.write(piece)
            if written:
                self._runs.wrote(stream, at_us, piece[:written])
            done += written
            if written < fits:
                break
        return done

    def _fitting(self, chunk: bytes, begin: int) -> int:
        """How much of the chunk the part takes: whole lines, unless not even one fits into a part."""
        left = len(chunk) - begin
        room = self._limit - (self._part.stop - self._part.start)
        if left <= room:
            return left
        lines = chunk.rfind(b"\n", begin, begin + max(room, 0)) + 1 - begin
        return max(lines, 0) if lines > 0 or self._part.stop > self._part.start else room

    @property
    def _limit(self) -> int:
        return max(self._max_bytes // (2 if self._part is self._head else 4), 1)

    def _next_part(self) -> None:
        if self._before is not None:
            self._before.delete()
        self._before = None if self._part is self._head else self._part
        name = part_name(self._log, self._runs.offset)
        self._part = Part(name, index_name(name), self._runs.offset)
        self._runs.part()
