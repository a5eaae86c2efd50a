"""The finished lines of a log, from its end backwards."""

from typing import Final

from adapters.filesystem.log_files import JoinedFiles
from adapters.filesystem.run_index import RunIndex
from domain.log_index import Record
from domain.log_reading import LogCursor

BLOCK: Final = 64 * 1024


class LogTail:
    """Each answer is a cursor, its offset (among the bytes of the stream, if one is given), and how many
    of the lines are not here. `end`: what is known at the end of the log.
    """

    def __init__(self, log: JoinedFiles, index: RunIndex, end: Record) -> None:
        self._log, self._index, self._end = log, index, end

    def last(self, count: int) -> tuple[LogCursor, int, int]:
        """The point before the last `count` finished lines."""
        begin, wanted = self._index.beginning.lines, self._end.lines - count
        if wanted <= begin:
            return LogCursor(offset=self._log.start), self._log.start, begin - wanted
        number = self._index.first(0, lambda run: run.lines >= wanted) - 1
        lines = self._end.lines if number >= self._index.last else self._index.run(number + 1).lines
        run = self._index.run(number)
        newline, _ = self._newline(run.offset, self._index.end(number), lines - wanted + 1)
        offset = run.offset if newline is None else newline + 1
        return LogCursor(offset=offset), offset, 0

    def last_of(self, stream: int, count: int) -> tuple[LogCursor, int, int]:
        """The same for one stream: from run to run of it, past the insides of its long lines."""
        wanted = count + 1
        first = self._index.beginning.totals[stream]
        stop = self._end.line_start(stream)
        while stop > first:
            run = self._index.run(self._index.holding_byte(stream, stop - 1))
            behind = run.offset - run.totals[stream]
            newline, seen = self._newline(run.offset, behind + stop, wanted)
            if newline is not None:
                return LogCursor(offset=newline + 1), newline + 1 - behind, 0
            wanted -= seen
            stop = run.line_start(stream)
        return LogCursor(offset=self._log.start), first, wanted - 1

    def _newline(self, start: int, stop: int, wanted: int) -> tuple[int | None, int]:
        """The wanted-th newline of the file from `stop` backwards; else None, and how many there are."""
        seen = 0
        stop = min(stop, self._log.size)
        while start < stop:
            low = max(start, stop - BLOCK)
            data = self._log.bytes(low, stop)
            here = data.count(b"\n")
            if seen + here >= wanted:
                at = len(data)
                for _ in range(wanted - seen):
                    at = data.rfind(b"\n", 0, at)
                return low + at, wanted
            seen += here
            stop = low
        return None, seen
