"""Finds the lines of a log that hold a text, without cutting the others into lines."""

from collections.abc import Callable, Iterator
from typing import Final

from domain.log_index import STREAMS, Record
from domain.log_lines import LineSpan

SEARCH_BYTES: Final = 64 * 1024 * 1024
"""What one page may read: then it ends with a cursor to go on from (about 0.1 s)."""

PIECE_BYTES: Final = 256 * 1024

ReadText = Callable[[int, int, int], bytes]


class Search:
    """One search through one page. It keeps the last bytes of each stream's unfinished line, no more."""

    def __init__(self, text: str) -> None:
        self.wanted = text.encode(errors="replace")
        self.stopped_at: int | None = None
        """The offset at which this page has read enough."""
        self._left = SEARCH_BYTES
        self._ends = [b"" for _ in STREAMS]
        self._found = [False for _ in STREAMS]

    def begin(self, point: Record, text: ReadText, *, told: bool) -> None:
        """At a point within lines: what stands of them before it counts too. `told`: the line that ends
        here was found, and its first part was given out.
        """
        for stream in range(len(STREAMS)):
            start, stop = point.line_start(stream), point.totals[stream]
            self._found[stream] = self.holds(lambda a, b, stream=stream: text(stream, a, b), start, stop)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
            self._ends[stream] = text(stream, max(start, stop - self._overlap), stop)
        if told:
            self._found[point.stream] = True

    def holds(self, text: Callable[[int, int], bytes], start: int, stop: int) -> bool:
        """Whether a text of any length holds what is wanted."""
        while start < stop:
            if self.wanted in text(start, min(start + PIECE_BYTES + self._overlap, stop)):
                return True
            start += PIECE_BYTES
        return False

    def found(self, point: Record, data: bytes) -> Iterator[LineSpan]:
        """The lines that end within `data`, the bytes of the point's run that follow it, and were found."""
        stream = point.stream
        end, found = self._ends[stream], self._found[stream]
        joined = end + data if end else data
        number, counted, at = point.lines, 0, 0
        while found or (at := joined.find(self.wanted, at)) >= 0:
            newline = data.find(b"\n", 0 if found else max(at - len(end), 0))
            found = newline < 0
            if found:
                break
            number += data.count(b"\n", counted, newline + 1)
            counted, at = newline + 1, len(end) + newline + 1
            yield _span(point, data, newline, number)
        self._found[stream] = found
        line = data.rfind(b"\n") + 1
        rest = data[line:] if line else joined
        self._ends[stream] = rest[max(len(rest) - self._overlap, 0) :]

    def has_read(self, data: bytes, offset: int) -> bool:
        """Whether that was enough for a page; it ended at `offset`."""
        self._left -= len(data)
        if self._left <= 0:
            self.stopped_at = offset
        return self._left <= 0

    @property
    def _overlap(self) -> int:
        return len(self.wanted) - 1


def _span(point: Record, data: bytes, newline: int, number: int) -> LineSpan:
    before, total = data.rfind(b"\n", 0, newline), point.totals[point.stream]
    return LineSpan(
        number=number,
        stream=point.stream,
        at_us=point.at_us,
        start=point.line_start(point.stream) if before < 0 else total + before + 1,
        stop=total + newline,
        end=point.offset + newline + 1,
    )
