"""A live log as server-sent events (WHATWG HTML, 9.2)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import msgspec
import structlog

from application.authenticate import Authenticate
from application.follow_log import LogEnd, LogEvent, LogLost, Quiet
from domain.errors import EtlError, Unauthenticated
from domain.log import Line
from entrypoints.http.auth import credential_ended
from entrypoints.http.closing import closing_of
from entrypoints.http.job_views import job_view
from entrypoints.http.operation import HttpRequest
from entrypoints.http.views import line_view

EVENTS: Final = "text/event-stream"
HEARTBEAT_SECONDS: Final = 10.0
"""Proxies and browsers give up a silent connection; 15 s are promised."""

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
            coming = asyncio.ensure_future(_next(events))
            yield _written(event)
    except EtlError as error:
        # The status has been sent: the stream ends, and the reader resumes with its last id.
        _log.warning("stream_ended", code=error.code, detail=error.detail)
    finally:
        for task in (closing, ended, coming):
            task.cancel()
        await asyncio.gather(closing, ended, coming, return_exceptions=True)


async def _next(events: AsyncIterator[LogEvent]) -> LogEvent | None:
    return await anext(events, None)


def _written(event: LogEvent) -> bytes:
    match event:
        case Quiet():
            return COMMENT
        case Line():
            data = msgspec.json.encode(line_view(event))
            return b"id: %b\nevent: line\ndata: %b\n\n" % (event.cursor.encode(), data)
        case LogLost(error=error):
            gone = msgspec.json.encode({"code": error.code, "detail": error.detail})
            return b"event: gone\ndata: %b\n\n" % gone
        case LogEnd(job=job):
            return b"event: end\ndata: %b\n\n" % msgspec.json.encode(job_view(job))
        case job:
            return b"event: state\ndata: %b\n\n" % msgspec.json.encode(job_view(job))
