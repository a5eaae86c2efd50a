"""The log of a job: as bytes, as lines, and live."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from litestar import Response
from litestar.params import FromPath
from litestar.response import Stream as Streaming
from msgspec import Meta, Struct

from application.read_log import FoundLog, Position
from domain.access import Scope
from domain.errors import AttemptNotFound, DatabaseUnavailable, InvalidCursor, JobNotFound, LogNotFound, Place
from domain.log import Stream
from entrypoints.http.accept import preferred
from entrypoints.http.conditional import has_already, range_of
from entrypoints.http.ids import job_id_of
from entrypoints.http.log_stream import server_sent_events
from entrypoints.http.operation import Answer, Cases, HttpRequest, operation
from entrypoints.http.reading import query_of
from entrypoints.http.refusals import NotAcceptable, RangeNotSatisfiable, WrongParameter
from entrypoints.http.views import LineView, line_view

TEXT: Final = "text/plain"
LINES: Final = "application/x-ndjson"
EVENTS: Final = "text/event-stream"
MAX_LINES: Final = 10_000
READ: Final = (Scope.LOGS_READ,)

CursorText = Annotated[str, Meta(max_length=128)]
StreamName = Literal["stdout", "stderr"]


class LogQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which part of a log."""

    attempt: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000)] | None, Meta(description="Its number; default: the latest.")
    ] = None
    stream: Annotated[StreamName | None, Meta(description="Of one stream only.")] = None
    tail: Annotated[
        Annotated[int, Meta(ge=0, le=1_000_000)] | None, Meta(description="The last lines (text/plain only).")
    ] = None
    after: Annotated[
        CursorText | None, Meta(description="The lines behind this `cursor` (application/x-ndjson only).")
    ] = None
    limit: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_LINES)] | None,
        Meta(description="At most so many lines (application/x-ndjson only; default 1000)."),
    ] = None


class StreamQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """Where a live log begins."""

    after: Annotated[
        CursorText | None, Meta(description="Behind this `cursor`; `Last-Event-ID` goes before it.")
    ] = None
    stream: Annotated[StreamName | None, Meta(description="Of one stream only.")] = None


@operation(
    "GET",
    "/jobs/{job_id:str}/log",
    id="readLog",
    tag="logs",
    summary="Read a log",
    scopes=READ,
    query=LogQuery,
    headers={
        "Accept": "`text/plain` for the bytes as written, `application/x-ndjson` for a line each.",
        "Range": "Bytes, one range.",
        "If-Range": "The `ETag` that the range is meant for.",
        "If-None-Match": "The `ETag` of what you have: 304 if it is still that.",
    },
    answers=(
        Answer(
            200,
            "The log so far.",
            media=TEXT,
            headers={"ETag": "Changes when it grows.", "Accept-Ranges": "`bytes`"},
            also={LINES: LineView},
        ),
        Answer(206, "The range.", media=TEXT, headers={"Content-Range": "Which bytes these are."}),
        Answer(304, "It is what you have.", media=None),
    ),
    errors=(
        JobNotFound,
        AttemptNotFound,
        LogNotFound,
        InvalidCursor,
        RangeNotSatisfiable,
        NotAcceptable,
        DatabaseUnavailable,
    ),
)
async def read_log(request: HttpRequest, job_id: FromPath[str], use_cases: Cases) -> Response[Any]:
    """What the program wrote, in order, byte for byte."""
    query, which = query_of(request, LogQuery), job_id_of(job_id)
    form = preferred(request.headers.get("accept"), (TEXT, LINES))
    _refuse_foreign(query, form)
    position = Position.parse(query.after)
    fence = position.fence if query.after is not None and query.attempt is None else None
    log = await use_cases.find_log(which, query.attempt, fence)
    stream = Stream(query.stream) if query.stream else None
    if form == LINES:
        return await _lines(use_cases, log, position, query.limit or 1000, stream)
    return await _bytes(request, use_cases, log, query.tail, stream)


def _refuse_foreign(query: LogQuery, form: str) -> None:
    """A parameter that the other form takes would be silently ignored."""
    foreign = ("tail",) if form == LINES else ("after", "limit")
    places = [Place(name, f"does not go with {form}") for name in foreign if getattr(query, name) is not None]
    if places:
        raise WrongParameter("The query does not fit the form.", places)


async def _lines(
    use_cases: Cases, log: FoundLog, position: Position, limit: int, stream: Stream | None
) -> Response[Any]:
    page = await use_cases.read_log_lines(log, position, limit, stream)
    body = b"".join(msgspec.json.encode(line_view(line)) + b"\n" for line in page.lines)
    return Response(body, media_type=LINES, headers={"Vary": "Accept", "Cache-Control": "private, no-cache"})


async def _bytes(
    request: HttpRequest, use_cases: Cases, log: FoundLog, tail: int | None, stream: Stream | None
) -> Response[Any]:
    """Bounded by the size at this moment: what is below it never changes, what comes after it is
    not in this answer, so the length that was promised holds while the log grows.
    """
    read = use_cases.read_log_bytes
    size = await read.size(log.ref, stream)
    begin = 0 if tail is None else min(await read.tail(log.ref, tail, stream), size)
    etag = f'"{log.ref.fence}-{stream or "all"}-{begin}-{size}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Vary": "Accept",
        "Cache-Control": "private, no-cache",
    }
    if has_already(request, etag):
        return Response(b"", status_code=304, headers=headers)
    length = size - begin
    part = range_of(request, length, etag)
    if part is not None and not part:
        raise RangeNotSatisfiable(length)
    if part is None:
        part, status = range(length), 200
    else:
        headers["Content-Range"], status = f"bytes {part.start}-{part.stop - 1}/{length}", 206
    headers["Content-Length"] = str(len(part))
    pieces = read(log.ref, begin + part.start, begin + part.stop, stream)
    return Streaming(pieces, status_code=status, media_type=TEXT, headers=headers)


@operation(
    "GET",
    "/jobs/{job_id:str}/log/stream",
    id="streamLog",
    tag="logs",
    summary="Follow a log live",
    scopes=READ,
    query=StreamQuery,
    headers={"Last-Event-ID": "The id of the last event that you have: nothing is missed or doubled."},
    answers=(
        Answer(
            200,
            "Events `line` (the id is its cursor), `state` (the job, on a change) and `end` (the job, after"
            " the last line of a final job). A comment at least every 15 s.",
            media=EVENTS,
        ),
    ),
    errors=(JobNotFound, InvalidCursor, DatabaseUnavailable),
)
async def stream_log(request: HttpRequest, job_id: FromPath[str], use_cases: Cases) -> Response[Any]:
    """Each line once and in order, across all attempts, until the job is final."""
    query, which = query_of(request, StreamQuery), job_id_of(job_id)
    after = request.headers.get("last-event-id") or query.after
    # What is wrong is told by a status, before the stream begins: a browser would try again for ever.
    await use_cases.read_job(which)
    await _check(use_cases, which, Position.parse(after))
    stream = Stream(query.stream) if query.stream else None
    events: AsyncIterator[bytes] = server_sent_events(request, use_cases.follow_log(which, after, stream))
    # X-Accel-Buffering: nginx holds a stream back until its buffer is full.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Streaming(events, media_type=EVENTS, headers=headers)


async def _check(use_cases: Cases, job_id: UUID, position: Position) -> None:
    """Raises InvalidCursor. Where the attempt has gone, the stream goes on with the next."""
    if position.cursor is not None:
        with suppress(AttemptNotFound):
            log = await use_cases.find_log(job_id, None, position.fence)
            await use_cases.read_log_lines(log, position, 1)


HANDLERS: Final = (read_log, stream_log)
