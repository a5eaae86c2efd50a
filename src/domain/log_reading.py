"""From lines in a log to pages for a reader, with cursors that neither lose a line nor tell one twice."""

import codecs
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from domain.errors import InvalidCursor
from domain.log import MAX_PIECE_BYTES, Line, Page, Stream
from domain.log_index import STREAMS, SYSTEM, Sums
from domain.log_lines import LineSpan

MAX_PAGE_BYTES: Final = 1024 * 1024
"""A page ends early at this much text, so that long lines cost no more memory than short ones."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STREAMS: Final = tuple(map(Stream, STREAMS))
_NUMBER: Final = r"(0|[1-9a-f][0-9a-f]{0,14})"
_CURSOR: Final = re.compile(rf"{_NUMBER}-{_NUMBER}-{_NUMBER}", re.ASCII)

ReadText = Callable[[int, int, int], bytes]
"""The bytes of a stream, from its byte to its byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCursor:
    """Every line whose newline lies before `offset` has been told.

    Of the line whose newline is *at* `offset` the first `skip` bytes have been told. Where `offset` is
    the end of a finished log, `told` of its lines without newline have been, and `skip` is about the next.
    """

    offset: int = 0
    skip: int = 0
    told: int = 0

    @classmethod
    def parse(cls, text: str | None, size: int) -> Self:
        """None is the beginning. Raises InvalidCursor, also for a point beyond `size`: no log shrinks."""
        if text is None:
            return cls()
        match = _CURSOR.fullmatch(text)
        cursor = match and cls(offset=int(match[1], 16), skip=int(match[2], 16), told=int(match[3], 16))
        if cursor is None or cursor.offset > size or cursor.told > len(STREAMS):
            raise unknown_cursor()
        return cursor

    def __str__(self) -> str:
        return f"{self.offset:x}-{self.skip:x}-{self.told:x}"


def number_of(stream: Stream | None) -> int | None:
    """As the index has it; None is all of them."""
    return None if stream is None else STREAMS.index(stream)


def unknown_cursor() -> InvalidCursor:
    return InvalidCursor("This cursor did not come from this log. Read again without one.")


def decoded(data: bytes, *, ends: bool) -> tuple[str, int]:
    """The text, and how many of the bytes it is: a character that `data` cuts is left over, unless `ends`."""
    if ends:
        return data.decode(errors="replace"), len(data)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(data)
    return text, len(data) - len(decoder.getstate()[0])


def _last_state_of(text: str) -> str:
    """A progress bar writes CR and the next state: a terminal shows what follows the last CR."""
    return text.removesuffix("\r").rpartition("\r")[2] if "\r" in text else text


class PageFiller:
    """Fills one page with the lines that it is given, until it is full."""

    def __init__(
        self, after: LogCursor, limit: int, text: ReadText = lambda _stream, _start, _stop: b""
    ) -> None:
        self.cursor = after
        """The point to go on from."""
        self.lines: list[Line] = []
        self._limit = limit
        self._text = text
        self._floor: Sums = (0, 0, 0)
        self._room = MAX_PAGE_BYTES

    def read_from(self, text: ReadText, floor: Sums) -> None:
        """The lines to come are read by `text`, which has nothing of a stream below its `floor`."""
        self._text, self._floor = text, floor

    @property
    def full(self) -> bool:
        return len(self.lines) >= self._limit or self._room <= 0

    def add_finished(self, spans: Iterable[LineSpan]) -> None:
        """Lines that end after the cursor, in order."""
        after = self.cursor
        for span in spans:
            newline = span.end - 1
            skip = after.skip if newline == after.offset else 0
            self._add(span, skip, LogCursor(offset=newline), LogCursor(offset=span.end))
            if self.full:
                return

    def add_unfinished(self, spans: Iterable[tuple[int, LineSpan]]) -> None:
        """The lines without newline at the end of a finished log, each with its order among all of them."""
        after = self.cursor
        for order, span in spans:
            here = LogCursor(offset=span.end, told=order)
            told = after.told if after.offset == span.end else 0
            if self.full:
                return
            if order >= told:
                skip = after.skip if order == told and after.offset == span.end else 0
                self._add(span, skip, here, LogCursor(offset=span.end, told=order + 1))

    def add_cut(self, note: str, number: int, at_us: int, behind: int) -> None:
        """The line that stands for what was cut before the byte `behind`."""
        self.cursor = LogCursor(offset=behind)
        self._append(note, number, SYSTEM, at_us, partial=False)

    def page(self, size: int, *, more: bool | None = None) -> Page:
        more = self.full if more is None else more
        return Page(lines=tuple(self.lines), cursor=str(self.cursor), size=size, more=more)

    def _add(self, span: LineSpan, skip: int, within: LogCursor, behind: LogCursor) -> None:
        """The line's pieces after its first `skip` bytes; `within` is the cursor inside of it."""
        if span.start + skip > span.stop:
            raise unknown_cursor()
        at = max(span.start + skip, self._floor[span.stream])
        if not skip and span.stop - at > MAX_PIECE_BYTES:
            at = self._last_state(span.stream, at, span.stop)
        while not self.full:
            stop = min(at + MAX_PIECE_BYTES, span.stop)
            data = self._text(span.stream, at, stop)
            # A log that lost bytes to a power cut gives fewer: then the line ends here.
            ends = stop == span.stop or len(data) < stop - at
            text, used = decoded(data, ends=ends)
            at += used
            inside = LogCursor(offset=within.offset, skip=at - span.start, told=within.told)
            self.cursor = behind if ends else inside
            self._room -= used
            self._append(
                _last_state_of(text) if ends else text,
                span.number,
                span.stream,
                span.at_us,
                partial=not ends,
            )
            if ends:
                return

    def _last_state(self, stream: int, at: int, stop: int) -> int:
        """Where the last state of a progress bar begins, which is what its terminal would show: behind the
        last CR that more follows. Looked for in the last piece of a long line only.
        """
        begin = max(at, stop - MAX_PIECE_BYTES)
        found = self._text(stream, begin, stop).removesuffix(b"\r").rfind(b"\r")
        return at if found < 0 else begin + found + 1

    def _append(self, text: str, number: int, stream: int, at_us: int, *, partial: bool) -> None:
        self.lines.append(
            Line(
                number=number,
                at=_EPOCH + timedelta(microseconds=at_us),
                stream=_STREAMS[stream],
                text=text,
                cursor=str(self.cursor),
                partial=partial,
            )
        )
