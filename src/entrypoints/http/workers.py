"""Workers: look, drain."""

from typing import Final

from litestar import Response
from litestar.params import FromPath

from domain.access import Scope
from domain.errors import DatabaseUnavailable, InvalidCursor, WorkerNotFound
from entrypoints.http.ids import worker_id_of
from entrypoints.http.operation import Answer, Cases, HttpRequest, answer, operation
from entrypoints.http.paging import PageQuery, page_of
from entrypoints.http.reading import query_of
from entrypoints.http.views import WorkerPage, WorkerView, worker_view


@operation(
    "GET",
    "/workers",
    id="listWorkers",
    tag="workers",
    summary="List workers",
    scopes=(Scope.JOBS_READ,),
    query=PageQuery,
    answers=(Answer(200, "A page of workers.", WorkerPage),),
    errors=(InvalidCursor, DatabaseUnavailable),
)
async def list_workers(request: HttpRequest, use_cases: Cases) -> Response[bytes]:
    """The living ones, newest first."""
    query = query_of(request, PageQuery)
    page, more = page_of(await use_cases.list_workers(), lambda worker: str(worker.id), query)
    return answer(WorkerPage(items=[worker_view(worker) for worker in page], next_cursor=more))


@operation(
    "POST",
    "/workers/{worker_id:str}/drain",
    id="drainWorker",
    tag="workers",
    summary="Drain a worker",
    scopes=(Scope.WORKERS_WRITE,),
    answers=(Answer(200, "The worker as it is now.", WorkerView),),
    errors=(WorkerNotFound, DatabaseUnavailable),
)
async def drain_worker(worker_id: FromPath[str], use_cases: Cases) -> Response[bytes]:
    """It claims nothing more, and ends what it has."""
    return answer(worker_view(await use_cases.drain_worker(worker_id_of(worker_id))))


HANDLERS: Final = (list_workers, drain_worker)
