"""The bytes of a log that follow each other without a gap, as they stand at one moment.

Every call blocks on the disk, and holds a few 64 KiB at most.
"""

from collections.abc import Iterator
from typing import Final

from adapters.filesystem.log_files import JoinedFiles, LogAndIndex
from adapters.filesystem.log_search import PIECE_BYTES, Search
from adapters.filesystem.log_tail import LogTail
from adapters.filesystem.run_index import RunIndex
from domain.log_index import RECORD_BYTES, Record
from domain.log_lines import LineSpan, completed, unfinished
from domain.log_reading import LogCursor, PageFiller

_BLOCK: Final = 64 * 1024


class IndexedLog:
    """The bytes [start, size) of what was written; offsets and numbers count all of it."""

    def __init__(self, *files: LogAndIndex, start: int = 0) -> None:
        self._log = JoinedFiles(start, [file.log for file in files])
        self.start, self.size = start, self._log.size
        records = JoinedFiles(0, [file.index for file in files if file.index], RECORD_BYTES)
        self.changed_us = files[-1].log.changed_us
        self._index = RunIndex(records, start, self.size, self.changed_us)
        self._window = (0, 0, b"")

    @property
    def beginning(self) -> Record:
        return self._index.beginning

    @property
    def end(self) -> Record:
        return self._point(self._index.last, self.size)

    def start_of(self, stream: int | None) -> int:
        return self.start if stream is None else self.beginning.totals[stream]

    def size_of(self, stream: int | None) -> int:
        if stream is None:
            return self.size
        last = self._index.run(self._index.last)
        size = last.totals[stream] + (self.size - last.offset if last.stream == stream else 0)
        return min(size, self.size)

    def piece(self, start: int, stop: int, stream: int | None) -> bytes:
        """Fewer at the end of the log."""
        if stream is None:
            return self._log.bytes(start, stop)
        return self._bytes_of(stream, start, stop)

    def fill(
        self,
        filler: PageFiller,
        limit: int,
        stream: int | None,
        *,
        final: bool,
        search: Search | None = None,
    ) -> None:
        """With the lines from the filler's cursor on."""
        filler.read_from(self._bytes_of, self.beginning.totals)
        cursor = filler.cursor
        if not filler.full:
            spans = self._finished(cursor, stream, limit, search)
            filler.add_finished(spans)
        if search is not None and search.stopped_at is not None:
            if not filler.full:
                filler.cursor = LogCursor(offset=search.stopped_at)
            return
        if not filler.full and final:
            waiting = self.unfinished(stream)
            if search is not None:
                waiting = [(order, span) for order, span in waiting if self._is_found(search, span)]
            filler.add_unfinished(waiting)
        if not filler.full and filler.cursor.offset < self.size:
            filler.cursor = LogCursor(offset=self.size)

    def tail(self, count: int, stream: int | None) -> tuple[LogCursor, int, int]:
        """Where the last `count` lines begin, and how many of them are not here; a line without newline
        counts. The offset is among the bytes of the stream if one is given.
        """
        waiting, tail = self.unfinished(stream), LogTail(self._log, self._index, self.end)
        if count > len(waiting):
            finished = count - len(waiting)
            return tail.last(finished) if stream is None else tail.last_of(stream, finished)
        kept = waiting[len(waiting) - count :]
        if not kept:
            return LogCursor(offset=self.size, told=len(self.unfinished(None))), self.size_of(stream), 0
        order, span = kept[0]
        begins = tail.last(0)[1] if stream is None else max(span.start, self.start_of(stream))
        return LogCursor(offset=self.size, told=order), begins, 0

    # -- lines forwards --------------------------------------------------------------------------

    def _finished(
        self, cursor: LogCursor, stream: int | None, limit: int, search: Search | None
    ) -> Iterator[LineSpan]:
        """The lines that end at or after the cursor; at least `limit` of them, if there are so many."""
        number = self._index.holding(cursor.offset)
        point = self._point(number, cursor.offset)
        if search is not None:
            search.begin(point, self._bytes_of, told=cursor.skip > 0)
            yield from self._found(search, point, number, stream)
            return
        while True:
            if stream is None or point.stream == stream:
                yield from self._finished_in(point, self._index.end(number), limit)
            if number >= self._index.last:
                return
            number = self._next_newline(number + 1, stream)
            point = self._index.run(number)

    def _finished_in(self, point: Record, stop: int, limit: int) -> Iterator[LineSpan]:
        while point.offset < stop:
            data = self._log.bytes(point.offset, min(point.offset + _BLOCK, stop))
            if not data:
                return
            self._window = (point.stream, point.totals[point.stream], data)
            yield from completed(point, data, limit)
            point = point.advanced(data)

    def _found(self, search: Search, point: Record, number: int, stream: int | None) -> Iterator[LineSpan]:
        """All lines with a text, or those before the search had read enough."""
        while True:
            stop = self._index.end(number)
            while point.offset < stop and stream in (None, point.stream):
                data = self._log.bytes(point.offset, min(point.offset + PIECE_BYTES, stop))
                if not data:
                    return
                self._window = (point.stream, point.totals[point.stream], data)
                yield from search.found(point, data)
                point = point.advanced(data)
                if search.has_read(data, point.offset):
                    return
            if number >= self._index.last:
                return
            number += 1
            point = self._index.run(number)

    def _is_found(self, search: Search, span: LineSpan) -> bool:
        start = max(span.start, self.start_of(span.stream))
        return search.holds(lambda a, b: self._bytes_of(span.stream, a, b), start, span.stop)

    def _next_newline(self, low: int, stream: int | None) -> int:
        """The run, from `low` on, with the next newline. What lies between is not read: neither the other
        streams' runs nor the inside of a line of gigabytes.
        """
        if stream is None:
            lines = self._index.run(low).lines
            return self._index.first(low + 1, lambda run: run.lines > lines) - 1
        start = self._index.run(low).line_start(stream)
        return self._index.first(low + 1, lambda run: run.line_start(stream) > start) - 1

    def unfinished(self, stream: int | None) -> list[tuple[int, LineSpan]]:
        point = self.end
        spans = unfinished(point, (self._latest(0, point), self._latest(1, point), self._latest(2, point)))
        return [(order, span) for order, span in enumerate(spans) if stream in (None, span.stream)]

    def _latest(self, stream: int, point: Record) -> int:
        """When the stream last wrote."""
        return self._index.run(self._index.holding_byte(stream, point.totals[stream] - 1)).at_us

    def _point(self, number: int, offset: int) -> Record:
        """What is known at an offset within the run."""
        point = self._index.run(number)
        while point.offset < offset:
            data = self._log.bytes(point.offset, min(point.offset + _BLOCK, offset))
            if not data:
                break
            point = point.advanced(data)
        return point

    # -- bytes -----------------------------------------------------------------------------------

    def _bytes_of(self, stream: int, start: int, stop: int) -> bytes:
        held, first, window = self._window
        if held == stream and first <= start and stop <= first + len(window):
            return window[start - first : stop - first]
        return b"".join(self._pieces(stream, start, stop))

    def _pieces(self, stream: int, start: int, stop: int) -> Iterator[bytes]:
        start = max(start, self.start_of(stream))
        number = self._index.holding_byte(stream, start)
        while start < stop and number <= self._index.last:
            run = self._index.run(number)
            if run.stream == stream:
                at = max(run.offset, run.offset + start - run.totals[stream])
                data = self._log.bytes(at, min(at + stop - start, self._index.end(number)))
                yield data
                start += len(data)
            number = self._index.holding_byte(stream, start, number + 1)
