"""The log of a job: as bytes, as lines, and live."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

import msgspec
from litestar import Response
from litestar.params import FromPath
from litestar.response import Stream as Streaming

from application.read_log import FoundLog, Position
from domain.access import Scope
from domain.errors import (
    AttemptNotFound,
    DatabaseUnavailable,
    InvalidCursor,
    JobNotFound,
    LogElsewhere,
    LogGone,
)
from domain.log import Stream
from domain.shown_log import ShownLog
from entrypoints.http.accept import preferred
from entrypoints.http.conditional import has_already, is_of_no_version, range_of
from entrypoints.http.header import Header
from entrypoints.http.ids import job_id_of
from entrypoints.http.log_query import LINES, TEXT, LogQuery, StreamQuery, next_page, refuse_foreign
from entrypoints.http.log_stream import EVENTS, server_sent_events
from entrypoints.http.operation import Answer, Cases, HttpRequest, operation
from entrypoints.http.reading import query_of
from entrypoints.http.refusals import NotAcceptable, ParametersDisagree, RangeNotSatisfiable, TooManyStreams
from entrypoints.http.views import LineView, line_view

READ: Final = (Scope.LOGS_READ,)
ETAG: Final = '"1-all-0-4096"'


@operation(
    "GET",
    "/jobs/{job_id:str}/log",
    id="readLog",
    tag="logs",
    summary="Read a log",
    scopes=READ,
    query=LogQuery,
    headers={
        "Accept": Header(
            "`text/plain` for the bytes as written, `application/x-ndjson` for a line each.", LINES
        ),
        "Range": Header(
            "One range, in `bytes` of the answer, or in `written`: bytes as the program wrote them,"
            " which stay the same when bytes are cut (`logs.max_size`).",
            "bytes=0-1023",
        ),
        "If-Range": Header("The `ETag` that the range is meant for.", ETAG),
        "If-None-Match": Header("The `ETag` of what you have: 304 if it is still that.", ETAG),
    },
    answers=(
        Answer(
            200,
            "The log so far.",
            media=TEXT,
            headers={
                "ETag": Header("Changes when it grows.", ETAG),
                "Accept-Ranges": Header("The units of a range.", "bytes, written"),
                "X-Next-Cursor": Header("Of lines: the point to go on from.", "1.4096"),
                "Link": Header(
                    "Of lines: the next page, if there is more now.", '<log?after=1.4096>; rel="next"'
                ),
            },
            also={LINES: LineView},
        ),
        Answer(
            206,
            "The range.",
            media=TEXT,
            headers={"Content-Range": Header("Which bytes these are.", "bytes 0-1023/4096")},
        ),
        Answer(304, "It is what you have.", media=None),
    ),
    errors=(
        JobNotFound,
        AttemptNotFound,
        LogGone,
        LogElsewhere,
        InvalidCursor,
        RangeNotSatisfiable,
        ParametersDisagree,
        NotAcceptable,
        DatabaseUnavailable,
    ),
)
async def read_log(request: HttpRequest, job_id: FromPath[str], use_cases: Cases) -> Response[Any]:
    """What the program wrote, in order, byte for byte."""
    query, which = query_of(request, LogQuery), job_id_of(job_id)
    form = preferred(request.headers.get("accept"), (TEXT, LINES))
    refuse_foreign(query, form)
    position = Position.parse(query.after)
    fence = position.fence if query.after is not None and query.attempt is None else None
    log = await use_cases.find_log(which, query.attempt, fence)
    stream = Stream(query.stream) if query.stream else None
    if form == LINES:
        return await _lines(use_cases, log, query, stream)
    return await _bytes(request, use_cases, log, query.tail, stream)


async def _lines(use_cases: Cases, log: FoundLog, query: LogQuery, stream: Stream | None) -> Response[Any]:
    read, limit = use_cases.read_log_lines, query.limit or 1000
    if query.tail is not None:
        page = await read.tail(log, query.tail, min(limit, query.tail), stream)
    else:
        page = await read(log, Position.parse(query.after), limit, stream, query.contains)
    body = b"".join(msgspec.json.encode(line_view(line)) + b"\n" for line in page.lines)
    headers = {"Vary": "Accept", "Cache-Control": "private, no-cache", "X-Next-Cursor": page.cursor}
    if page.more:
        headers["Link"] = f'<{next_page(query, page.cursor)}>; rel="next"'
    return Response(body, media_type=LINES, headers=headers)


async def _bytes(
    request: HttpRequest, use_cases: Cases, log: FoundLog, tail: int | None, stream: Stream | None
) -> Response[Any]:
    """Bounded by the size at this moment: what is below it never changes, what comes after it is
    not in this answer, so the length that was promised holds while the log grows.
    """
    read = use_cases.read_log_bytes
    extent = await read.extent(log, stream)
    begin = 0 if tail is None else min(await read.tail(log, tail, stream), extent.size)
    etag = f'"{log.ref.fence}-{stream or "all"}-{begin}-{extent.size}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes, written",
        "Vary": "Accept",
        "Cache-Control": "private, no-cache",
    }
    if has_already(request, etag):
        return Response(b"", status_code=304, headers=headers)
    shown, part, content_range = _part_of(request, ShownLog(extent, begin), etag, written=tail is None)
    headers["Content-Length"] = str(len(part))
    if content_range is not None:
        headers["Content-Range"] = content_range
    pieces = read(log, shown, part, stream)
    # The log is opened now, while a status can still tell that retention was faster.
    first = await anext(pieces, b"")
    return Streaming(
        _joined(first, pieces), status_code=206 if content_range else 200, media_type=TEXT, headers=headers
    )


async def _joined(first: bytes, others: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for other in others:
        yield other


def _part_of(
    request: HttpRequest, shown: ShownLog, etag: str, *, written: bool
) -> tuple[ShownLog, range, str | None]:
    """What to send, and its Content-Range. Raises RangeNotSatisfiable.

    `bytes` count what is shown. Where bytes were cut, those behind the cut move with it, so such a range
    needs an `If-Range`, and is answered with all otherwise. `written` counts what the program wrote.
    """
    extent, unit = shown.extent, "bytes"
    asked = range_of(request, extent.size, etag, "written") if written else None
    if asked is not None:
        if not asked:
            raise RangeNotSatisfiable(extent.size, "written")
        shown, part, sent = ShownLog.of_written(extent, asked)
        if not sent:
            raise RangeNotSatisfiable(extent.size, "written")
        return shown, part, f"written {sent.start}-{sent.stop - 1}/{extent.size}"
    found = range_of(request, shown.length, etag, unit)
    if found is not None and shown.note and found.stop > len(shown.head) and is_of_no_version(request):
        found = None
    if found is None:
        return shown, range(shown.length), None
    if not found:
        raise RangeNotSatisfiable(shown.length)
    return shown, found, f"{unit} {found.start}-{found.stop - 1}/{shown.length}"


@operation(
    "GET",
    "/jobs/{job_id:str}/log/stream",
    id="streamLog",
    tag="logs",
    summary="Follow a log live",
    scopes=READ,
    query=StreamQuery,
    headers={
        "Last-Event-ID": Header(
            "The id of the last event that you have: nothing is missed or doubled.", "1.4096"
        )
    },
    answers=(
        Answer(
            200,
            "Events `line` (the id is its cursor), `state` (the job, on a change), `gone` (the rest of an"
            " attempt's log was deleted, or lies on another machine), `reconnect` (the server stops: come"
            " back after `retry` milliseconds with the id of your last line) and `end` (the job, after the"
            " last line of a final job). A comment at least every 15 s.",
            media=EVENTS,
        ),
    ),
    errors=(JobNotFound, InvalidCursor, TooManyStreams, DatabaseUnavailable),
)
async def stream_log(request: HttpRequest, job_id: FromPath[str], use_cases: Cases) -> Response[Any]:
    """Each line once and in order, across all attempts, until the job is final."""
    query, which = query_of(request, StreamQuery), job_id_of(job_id)
    after = request.headers.get("last-event-id") or query.after
    # What is wrong is told by a status, before the stream begins: a browser would try again for ever.
    await use_cases.read_job(which)
    await _check(use_cases, which, Position.parse(after))
    stream = Stream(query.stream) if query.stream else None
    use_cases.limits.count_stream(request.scope, request.user)
    lines = use_cases.follow_log(which, after, stream)
    events: AsyncIterator[bytes] = server_sent_events(request, lines, use_cases.authenticate)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # nginx would fill a buffer first
    return Streaming(events, media_type=EVENTS, headers=headers)


async def _check(use_cases: Cases, job_id: UUID, position: Position) -> None:
    """Raises InvalidCursor. Where the attempt has gone, the stream goes on with the next."""
    if position.cursor is not None:
        with suppress(AttemptNotFound, LogGone, LogElsewhere):
            log = await use_cases.find_log(job_id, None, position.fence)
            await use_cases.read_log_lines(log, position, 1)


HANDLERS: Final = (read_log, stream_log)
