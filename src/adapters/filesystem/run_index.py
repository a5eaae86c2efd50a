"""The records of one log, found by binary search."""

from collections.abc import Callable
from typing import Final

from adapters.filesystem.log_files import JoinedFiles
from domain.log_index import RECORD_BYTES, STDOUT, Record, beginning, unpack

_BLOCK: Final = 64
"""Records that are read at once."""


class RunIndex:
    """The runs of the bytes [start, size) of a log. Index -1 is their beginning, which needs no record.

    Reconciles what a crash left: a torn record and records without bytes do not count; one that
    cannot be read counts as part of the run before it, and so do bytes beyond the last.
    """

    def __init__(self, records: JoinedFiles, start: int, size: int, changed_us: int) -> None:
        self._records = records
        self._size = size
        self._block: tuple[int, bytes] = (-1, b"")
        self._count = records.size // RECORD_BYTES
        self.beginning = self._begin(start, changed_us)
        # Or each look at the end would go back over all that a power cut left there.
        while self._count and self._slot(self._count - 1) is None:
            self._count -= 1
        self._count = self.first(0, lambda run: run.offset >= size)

    def _begin(self, start: int, changed_us: int) -> Record:
        """Behind the head, the first record says what was written before."""
        if start == 0:
            return beginning(changed_us)
        first = self._slot(0)
        if first is not None and first.offset == start:
            return first
        totals = (start, 0, 0)
        return Record(
            stream=STDOUT, at_us=changed_us, offset=start, lines=0, totals=totals, pending=(0, 0, 0)
        )

    @property
    def last(self) -> int:
        return self._count - 1

    def run(self, number: int) -> Record:
        while number >= 0:
            if record := self._slot(number):
                return record
            number -= 1
        return self.beginning

    def end(self, number: int) -> int:
        """Where the run ends: at the next one, or with the log."""
        return self._size if number >= self.last else self.run(number + 1).offset

    def first(self, low: int, wanted: Callable[[Record], bool]) -> int:
        """The first run from `low` on that is wanted, where all after it are too; else the count.

        Strides double from `low`, since the run next door is the usual one.
        """
        step = 1
        high = low
        while high < self._count and not wanted(self.run(high)):
            low = high + 1
            high += step
            step *= 2
        high = min(high, self._count)
        while low < high:
            middle = (low + high) // 2
            if wanted(self.run(middle)):
                high = middle
            else:
                low = middle + 1
        return low

    def holding(self, offset: int) -> int:
        """The run that holds this byte of the file."""
        return self.first(0, lambda run: run.offset > offset) - 1

    def holding_byte(self, stream: int, position: int, low: int = -1) -> int:
        """The run that holds this byte of the stream; never one before `low`."""
        return max(low, self.first(low, lambda run: run.totals[stream] > position) - 1)

    def _slot(self, number: int) -> Record | None:
        block, place = divmod(number, _BLOCK)
        if self._block[0] != block:
            start = block * _BLOCK * RECORD_BYTES
            self._block = (block, self._records.bytes(start, start + _BLOCK * RECORD_BYTES))
        return unpack(self._block[1][place * RECORD_BYTES : (place + 1) * RECORD_BYTES])
