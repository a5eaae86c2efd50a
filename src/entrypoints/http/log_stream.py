"""A live log as server-sent events (WHATWG HTML, 9.2)."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Final
from weakref import WeakKeyDictionary

import msgspec
import structlog

from application.authenticate import Authenticate
from application.follow_log import LogEnd, LogEvent, LogLost, Quiet
from application.log_pages import LogPage
from domain.errors import EtlError, Unauthenticated
from domain.job import Job
from entrypoints.http.auth import credential_ended
from entrypoints.http.closing import closing_of
from entrypoints.http.job_views import job_view
from entrypoints.http.operation import HttpRequest
from entrypoints.http.views import line_view

EVENTS: Final = "text/event-stream"
HEARTBEAT_SECONDS: Final = 10.0
"""Proxies and browsers give up a silent connection; 15 s are promised."""

PIECE_BYTES: Final = 64 * 1024
COMMENT: Final = b": here\n\n"
RECONNECT: Final = b'event: reconnect\nretry: 1000\ndata: {"detail": "The server stops. Come back soon."}\n\n'
"""It has no id, so that a reader's last one stays that of its last line."""

_log = structlog.get_logger("http")


async def server_sent_events(
    request: HttpRequest,
    events: AsyncIterator[LogEvent],
    authenticate: Authenticate,
) -> AsyncIterator[bytes]:
    """Pulls: a reader that is slow costs nothing. Ends after `end`, by `reconnect` as the server stops, and
    as soon as the reader's credential has ended: whoever comes back hears why.
    """
    yield COMMENT  # headers are sent with the first bytes, and a browser waits for them
    closing = asyncio.ensure_future(closing_of(request).wait())
    ended = asyncio.ensure_future(credential_ended(request, authenticate))
    coming = asyncio.ensure_future(_next(events))
    try:
        while True:
            await asyncio.wait(
                [closing, ended, coming], timeout=HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if closing.done():
                yield RECONNECT
                return
            if ended.done():
                _log.warning("stream_ended", code=Unauthenticated.code)
                return
            if not coming.done():
                yield COMMENT
                continue
            if (event := coming.result()) is None:
                return
            for piece in _pieces(event):
                yield piece
            # Only now: a reader that is slow holds one page of lines, not two.
            coming = asyncio.ensure_future(_next(events))
    except EtlError as error:
        # The status has been sent: the stream ends, and the reader resumes with its last id.
        _log.warning("stream_ended", code=error.code, detail=error.detail)
    finally:
        for task in (closing, ended, coming):
            task.cancel()
        await asyncio.gather(closing, ended, coming, return_exceptions=True)


async def _next(events: AsyncIterator[LogEvent]) -> LogEvent | None:
    return await anext(events, None)


def _pieces(event: LogEvent) -> Iterable[bytes]:
    """Of about `PIECE_BYTES`, or one line. Those of a page are made once for all who follow the log."""
    if not isinstance(event, LogPage):
        return (_written(event),)
    pieces = _of_pages.get(event)
    if pieces is None:
        pieces = _of_pages[event] = tuple(_pieces_of(event))
    return pieces


_of_pages: Final[WeakKeyDictionary[LogPage, tuple[bytes, ...]]] = WeakKeyDictionary()


def _pieces_of(page: LogPage) -> Iterator[bytes]:
    piece = bytearray()
    for line in page.lines:
        data = msgspec.json.encode(line_view(line))
        piece += b"id: %b\nevent: line\ndata: %b\n\n" % (line.cursor.encode(), data)
        if len(piece) >= PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


def _written(event: Job | LogEnd | LogLost | Quiet) -> bytes:
    match event:
        case Quiet():
            return COMMENT
        case LogLost(error=error):
            gone = msgspec.json.encode({"code": error.code, "detail": error.detail})
            return b"event: gone\ndata: %b\n\n" % gone
        case LogEnd(job=job):
            return b"event: end\ndata: %b\n\n" % msgspec.json.encode(job_view(job))
        case job:
            return b"event: state\ndata: %b\n\n" % msgspec.json.encode(job_view(job))
