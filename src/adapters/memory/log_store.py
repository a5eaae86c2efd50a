"""Logs in memory. Everything is read from the first byte each time, so it is plainly right and slow."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from domain.errors import LogNotFound
from domain.log import Extent, LogRef, Page, Stream
from domain.log_index import STREAMS, Record, beginning
from domain.log_lines import LineSpan, completed, unfinished
from domain.log_reading import LogCursor, PageFiller, number_of

PIECE_BYTES: Final = 64 * 1024
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class MemoryLog:
    """What was written, chunk by chunk, folded into lines as it came."""

    data: bytes = b""
    streams: list[bytes] = field(default_factory=lambda: [b"" for _ in STREAMS])
    finished: list[LineSpan] = field(default_factory=list)
    latest: list[int] = field(default_factory=lambda: [0 for _ in STREAMS])
    end: Record = field(default_factory=beginning)

    def write(self, stream: int, at_us: int, data: bytes) -> None:
        here = self.end.opened(stream, at_us)
        self.finished += completed(here, data, len(data))
        self.end = here.advanced(data)
        self.latest[stream] = at_us
        self.data += data
        self.streams[stream] += data

    def bytes(self, stream: int | None) -> bytes:
        return self.data if stream is None else self.streams[stream]

    def spans(self, stream: int | None) -> list[LineSpan]:
        return [span for span in self.finished if stream in (None, span.stream)]

    def holds(self, span: LineSpan, text: str) -> bool:
        return text.encode() in self.streams[span.stream][span.start : span.stop]

    def unfinished(self, stream: int | None) -> list[tuple[int, LineSpan]]:
        spans = unfinished(self.end, (self.latest[0], self.latest[1], self.latest[2]))
        return [(order, span) for order, span in enumerate(spans) if stream in (None, span.stream)]


class MemoryLogStore:
    """LogStore. Tests play the supervisor with `write`."""

    def __init__(self) -> None:
        self.logs: dict[LogRef, MemoryLog] = {}
        self.elsewhere: set[str] = set()
        """Hosts whose logs are not here; a test says so."""
        self._written = asyncio.Condition()

    async def write(self, ref: LogRef, stream: Stream, data: bytes, at: datetime = _EPOCH) -> None:
        async with self._written:
            self.logs.setdefault(ref, MemoryLog()).write(STREAMS.index(stream), microseconds(at), data)
            self._written.notify_all()

    def target(self, ref: LogRef) -> Path:
        return Path("/memory") / f"{ref.job_id}.{ref.fence}.log"

    async def announce(self, host: str) -> None:
        self.elsewhere.discard(host)

    async def serves(self, host: str) -> bool:
        return host not in self.elsewhere

    async def read(
        self, ref: LogRef, start: int, stop: int, stream: Stream | None = None
    ) -> AsyncIterator[bytes]:
        data = self._log(ref).bytes(number_of(stream))[start : max(start, stop)]
        for at in range(0, len(data), PIECE_BYTES):
            yield data[at : at + PIECE_BYTES]

    async def extent(self, ref: LogRef, stream: Stream | None = None) -> Extent:
        size = len(self._log(ref).bytes(number_of(stream)))
        return Extent(size, size, size)

    async def lines(
        self,
        ref: LogRef,
        after: str | None,
        limit: int,
        stream: Stream | None = None,
        *,
        final: bool,
        contains: str | None = None,
    ) -> Page:
        log, number = self._log(ref), number_of(stream)
        size = len(log.data)
        cursor = LogCursor.parse(after, size)
        filler = PageFiller(cursor, limit, lambda stream, start, stop: log.streams[stream][start:stop])
        if not filler.full:
            filler.add_finished(
                span
                for span in log.spans(number)
                if span.end > cursor.offset and log.holds(span, contains or "")
            )
        if not filler.full and final:
            waiting = log.unfinished(number)
            filler.add_unfinished((order, span) for order, span in waiting if log.holds(span, contains or ""))
        if not filler.full and filler.cursor.offset < size:
            filler.cursor = LogCursor(offset=size)
        return filler.page(size)

    async def tail(self, ref: LogRef, count: int, stream: Stream | None = None) -> tuple[str, int]:
        log, number = self._log(ref), number_of(stream)
        waiting, finished = log.unfinished(number), log.spans(number)
        if count > len(waiting):
            before = finished[: max(0, len(finished) - (count - len(waiting)))]
            cursor = LogCursor(offset=before[-1].end if before else 0)
            return str(cursor), _behind(before, number)
        kept = waiting[len(waiting) - count :]
        if not kept:
            told = len(log.unfinished(None))
            return str(LogCursor(offset=len(log.data), told=told)), len(log.bytes(number))
        return str(LogCursor(offset=len(log.data), told=kept[0][0])), _behind(finished, number)

    async def grown(self, ref: LogRef, past: int, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds), self._written:
                await self._written.wait_for(lambda: ref in self.logs and len(self.logs[ref].data) > past)
        except TimeoutError:
            return False
        return True

    def _log(self, ref: LogRef) -> MemoryLog:
        try:
            return self.logs[ref]
        except KeyError:
            raise LogNotFound(
                "This attempt has no log: it has not started, or retention has deleted it."
            ) from None


def microseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def _behind(spans: list[LineSpan], stream: int | None) -> int:
    """The offset after the last of these lines: in the file, or among the bytes of the stream."""
    if not spans:
        return 0
    return spans[-1].end if stream is None else spans[-1].stop + 1
