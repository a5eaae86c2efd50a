"""The files of one log, plain or compressed, as they are read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self

from adapters.filesystem.log_paths import compressed_path
from adapters.filesystem.open_file import OpenFile
from adapters.filesystem.seekable_zstd import SeekableZstd
from domain.errors import LogNotFound


class LogBytes(Protocol):
    """One file of a log, plain or compressed, as it stood when it was opened."""

    @property
    def size(self) -> int: ...

    @property
    def changed_us(self) -> int:
        """When it was last written, in microseconds since 1970."""

    def bytes(self, start: int, stop: int) -> bytes:
        """None beyond the size."""


def open_log(path: Path) -> LogBytes:
    """The plain file before the compressed one: that is there before the plain one goes."""
    try:
        return _opened(path)
    except (FileNotFoundError, NotADirectoryError):
        raise LogNotFound(
            "This attempt has no log: it has not started, or retention has deleted it."
        ) from None


def _opened(path: Path) -> LogBytes:
    try:
        return OpenFile(path)
    except FileNotFoundError:
        return SeekableZstd(compressed_path(path))


class LogAndIndex:
    """One file of a log, and the index of what lies in it; a log without its index still has its bytes."""

    def __init__(self, log: LogBytes, index: LogBytes | None) -> None:
        self.log, self.index = log, index

    @classmethod
    def opened(cls, path: Path) -> Self:
        """The log before its index: a record comes before its bytes, so none that is needed is missed.

        Raises LogNotFound, also where both were deleted between: without its index a log reads as stdout.
        """
        log = open_log(path)
        try:
            return cls(log, _opened(path.with_suffix(".idx")))
        except FileNotFoundError:
            open_log(path)
            return cls(log, None)


class JoinedFiles:
    """Files that follow each other without a gap, read as one. `start` is the offset of the first byte."""

    def __init__(self, start: int, files: Sequence[LogBytes], unit: int = 1) -> None:
        """Of each file only a multiple of `unit` bytes counts."""
        self.start = self.size = start
        self._files: list[tuple[int, int, LogBytes]] = []
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
