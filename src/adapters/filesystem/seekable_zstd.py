"""Files in the seekable format of Zstandard: frames that stand alone, and behind them a table of their sizes.

`zstdcat` and `zstdless` read such a file: the table is a frame that they skip. Every frame but the last holds
the same number of bytes, so any place is found by one division and costs one frame.

The format: https://github.com/facebook/zstd/blob/dev/contrib/seekable_format
"""

import errno
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from struct import Struct, iter_unpack
from typing import Final

from backports import zstd

from adapters.filesystem.open_file import OpenFile

_LEVEL: Final = 3
_CHECKED: Final[Mapping[int, int]] = {
    zstd.CompressionParameter.compression_level: _LEVEL,
    zstd.CompressionParameter.checksum_flag: 1,
}
_HELD_FRAMES: Final = 4

_SKIPPABLE: Final = Struct("<II")
_ENTRY: Final = Struct("<II")
_FOOTER: Final = Struct("<IBI")
_SKIPPABLE_MAGIC: Final = 0x184D2A5E
_FOOTER_MAGIC: Final = 0x8F92EAB1


def compress(source: int, target: int, frame_bytes: int) -> Iterator[int]:
    """Copies one descriptor to the other, a frame a step: yields how many bytes went into it."""
    entries: list[bytes] = []
    at = 0
    while data := os.pread(source, frame_bytes, at):
        frame = zstd.compress(data, options=_CHECKED)
        _write(target, frame)
        entries.append(_ENTRY.pack(len(frame), len(data)))
        at += len(data)
        yield len(data)
    table = b"".join(entries) + _FOOTER.pack(len(entries), 0, _FOOTER_MAGIC)
    _write(target, _SKIPPABLE.pack(_SKIPPABLE_MAGIC, len(table)) + table)


def _write(target: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]


class SeekableZstd:
    """Reads a compressed file as if it were the plain one. A few frames are held."""

    def __init__(self, path: Path) -> None:
        """Raises FileNotFoundError; OSError (EIO) for what is damaged, and so do reads."""
        self._file = OpenFile(path)
        self.changed_us = self._file.changed_us
        sizes = self._table()
        self._ends = list(accumulate(packed for packed, _ in sizes))
        self._frame_bytes = sizes[0][1] if sizes else 0
        self.size = sum(plain for _, plain in sizes)
        self._held: OrderedDict[int, bytes] = OrderedDict()

    def _table(self) -> list[tuple[int, int]]:
        """Compressed and plain size of each frame."""
        end = self._file.size
        footer = self._file.bytes(max(end - _FOOTER.size, 0), end)
        count, _, magic = _FOOTER.unpack(footer) if len(footer) == _FOOTER.size else (0, 0, 0)
        begin = end - _FOOTER.size - count * _ENTRY.size
        if magic != _FOOTER_MAGIC or begin < _SKIPPABLE.size:
            raise _damaged()
        return list(iter_unpack(_ENTRY.format, self._file.bytes(begin, end - _FOOTER.size)))

    def _frame(self, number: int) -> bytes:
        if number in self._held:
            self._held.move_to_end(number)
            return self._held[number]
        begin = self._ends[number - 1] if number else 0
        plain = min(self._frame_bytes, self.size - number * self._frame_bytes)
        frame = zstd.ZstdDecompressor()
        try:
            data = frame.decompress(self._file.bytes(begin, self._ends[number]), plain + 1)
        except zstd.ZstdError:
            raise _damaged() from None
        if not frame.eof or len(data) != plain:
            raise _damaged()
        self._held[number] = data
        if len(self._held) > _HELD_FRAMES:
            self._held.popitem(last=False)
        return data

    def bytes(self, start: int, stop: int) -> bytes:
        """None beyond the size."""
        stop = min(stop, self.size)
        pieces: list[bytes] = []
        while start < stop:
            number, within = divmod(start, self._frame_bytes)
            pieces.append(self._frame(number)[within : within + stop - start])
            start += len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _damaged() -> OSError:
    return OSError(errno.EIO, "the compressed file is damaged")
