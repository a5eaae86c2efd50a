"""Queues: look, limit, pause, resume."""

from typing import Final

from litestar import Response
from litestar.params import FromPath

from domain.access import Scope
from domain.errors import DatabaseUnavailable, Invalid, InvalidCursor, QueueNotFound
from entrypoints.http.ids import queue_name_of
from entrypoints.http.operation import Answer, Cases, HttpRequest, answer, operation
from entrypoints.http.paging import PageQuery, page_of
from entrypoints.http.reading import body_of, query_of
from entrypoints.http.schemas import QueueRequest
from entrypoints.http.views import QueuePage, QueueView, queue_view

WRITE: Final = (Scope.QUEUES_WRITE,)
THE_QUEUE: Final = (Answer(200, "The queue as it is now.", QueueView),)


@operation(
    "GET",
    "/queues",
    id="listQueues",
    tag="queues",
    summary="List queues",
    scopes=(Scope.JOBS_READ,),
    query=PageQuery,
    answers=(Answer(200, "A page of queues.", QueuePage),),
    errors=(InvalidCursor, DatabaseUnavailable),
)
async def list_queues(request: HttpRequest, use_cases: Cases) -> Response[bytes]:
    """By name, each with what is in it now."""
    query = query_of(request, PageQuery)
    page, more = page_of(await use_cases.list_queues(), lambda queue: queue.name, query, rising=True)
    return answer(QueuePage(items=[queue_view(queue) for queue in page], next_cursor=more))


@operation(
    "PATCH",
    "/queues/{name:str}",
    id="setQueue",
    tag="queues",
    summary="Limit a queue",
    scopes=WRITE,
    body=QueueRequest,
    examples={"four at once": QueueRequest(slots=4), "no limit": QueueRequest(slots=None)},
    answers=THE_QUEUE,
    errors=(QueueNotFound, Invalid, DatabaseUnavailable),
)
async def set_queue(request: HttpRequest, name: FromPath[str], use_cases: Cases) -> Response[bytes]:
    """What runs goes on. The queue is made if no job has named it yet."""
    wanted = await body_of(request, QueueRequest)
    return answer(queue_view(await use_cases.limit_queue(queue_name_of(name), wanted.slots)))


@operation(
    "POST",
    "/queues/{name:str}/pause",
    id="pauseQueue",
    tag="queues",
    summary="Pause a queue",
    scopes=WRITE,
    answers=THE_QUEUE,
    errors=(QueueNotFound, DatabaseUnavailable),
)
async def pause_queue(request: HttpRequest, name: FromPath[str], use_cases: Cases) -> Response[bytes]:
    """Nothing more is claimed from it; what runs goes on."""
    return answer(queue_view(await use_cases.pause_queue(queue_name_of(name), request.user)))


@operation(
    "POST",
    "/queues/{name:str}/resume",
    id="resumeQueue",
    tag="queues",
    summary="Resume a queue",
    scopes=WRITE,
    answers=THE_QUEUE,
    errors=(QueueNotFound, DatabaseUnavailable),
)
async def resume_queue(name: FromPath[str], use_cases: Cases) -> Response[bytes]:
    """Claims go on."""
    return answer(queue_view(await use_cases.resume_queue(queue_name_of(name))))


HANDLERS: Final = (list_queues, set_queue, pause_queue, resume_queue)
