"""Jobs: submit, list, read, cancel, retry."""

from typing import Final

import msgspec
from litestar import Response
from litestar.params import FromPath

from application.ports.job_queue import Submitted
from domain.access import Scope
from domain.errors import (
    CommandsNotAllowed,
    DatabaseUnavailable,
    IdempotencyKeyReused,
    InvalidCursor,
    InvalidJob,
    JobIsFinal,
    JobIsNotFinal,
    JobNotFound,
    Place,
    UnknownScript,
)
from domain.job import Job, JobState
from entrypoints.http.attempt_views import AttemptPage, EventPage, attempt_view, event_view
from entrypoints.http.closing import before_closing
from entrypoints.http.conditional import etag_of, has_already
from entrypoints.http.header import Header
from entrypoints.http.idempotency import HEADER, idempotency_of
from entrypoints.http.ids import job_id_of, uuid_of
from entrypoints.http.job_query import JobQuery, JobWait, filter_of
from entrypoints.http.job_views import BatchView, JobPage, JobView, job_view
from entrypoints.http.operation import JSON, Answer, Cases, HttpRequest, answer, operation
from entrypoints.http.paging import PageQuery, cursor_of, key_of, page_of, unknown_cursor
from entrypoints.http.reading import body_of, query_of
from entrypoints.http.refusals import ParametersDisagree
from entrypoints.http.schemas import BatchRequest, JobRequest, Retry, spec_of
from entrypoints.http.trust import confirmed

SUBMIT: Final = (Scope.JOBS_SUBMIT, Scope.JOBS_COMMAND)
"""Either opens the door; the use case asks for the one that the job needs."""

READ: Final = (Scope.JOBS_READ,)
ETAG: Final = '"5f2b8c1d9e3a4f607182930415263748"'
SUBMIT_ERRORS: Final = (
    InvalidJob,
    UnknownScript,
    CommandsNotAllowed,
    IdempotencyKeyReused,
    DatabaseUnavailable,
)
KEY_HEADER: Final = {
    HEADER: Header(
        "The same key with the same body answers with the same jobs; with another body 422.",
        "weather-2012-01",
        pattern="^[!-~]{1,255}$",
    )
}
SCRIPT: Final = JobRequest(
    script="load_orders.py",
    parameters={"period": "2026-01"},
    retry=Retry(max_attempts=3),
    labels={"team": "finance"},
)
COMMAND: Final = JobRequest(command=["pg_dump", "-V"], timeout_seconds=60.0)
REPLAYED: Final = {
    "Idempotency-Replayed": Header("`true` if an earlier request with this key made them.", "true")
}
LOCATION: Final = {"Location": Header("The job.", "/api/v1/jobs/019a8e3c-5b7e-7c31-9a55-0b6f2f3f9d11")}


@operation(
    "POST",
    "/jobs",
    id="submitJob",
    tag="jobs",
    summary="Submit a job",
    scopes=SUBMIT,
    body=JobRequest,
    examples={"a script": SCRIPT, "a command": COMMAND},
    headers=KEY_HEADER,
    answers=(Answer(201, "Accepted, and durable.", JobView, headers=LOCATION | REPLAYED),),
    errors=SUBMIT_ERRORS,
    on_trust=True,
)
async def submit_job(request: HttpRequest, use_cases: Cases) -> Response[bytes]:
    """A `script` needs the scope `jobs:submit`, a `command` the scope `jobs:command`."""
    wanted = await body_of(request, JobRequest)
    idempotency = idempotency_of(request, wanted)
    submitted = await use_cases.submit_jobs([spec_of(wanted, _trace(request))], request.user, idempotency)
    confirmed(request)
    return _created(submitted.jobs[0], _replayed(submitted))


@operation(
    "POST",
    "/jobs/batch",
    id="submitBatch",
    tag="jobs",
    summary="Submit many jobs, all or none",
    scopes=SUBMIT,
    body=BatchRequest,
    examples={"two jobs": BatchRequest(jobs=[SCRIPT, COMMAND])},
    headers=KEY_HEADER,
    answers=(Answer(201, "All are accepted, and durable.", BatchView, headers=REPLAYED),),
    errors=SUBMIT_ERRORS,
    on_trust=True,
)
async def submit_batch(request: HttpRequest, use_cases: Cases) -> Response[bytes]:
    """Up to 1,000 jobs; what is wrong in any of them is named, and none is accepted then."""
    wanted = await body_of(request, BatchRequest)
    specs = [spec_of(job, _trace(request)) for job in wanted.jobs]
    submitted = await use_cases.submit_batch(specs, request.user, idempotency_of(request, wanted))
    confirmed(request)
    return answer(BatchView(jobs=[job_view(job) for job in submitted.jobs]), 201, _replayed(submitted))


def _trace(request: HttpRequest) -> str:
    """What the outermost layer has taken from the request or begun (front.py)."""
    return str(request.scope["state"]["traceparent"])


def _replayed(submitted: Submitted) -> dict[str, str]:
    return {"Idempotency-Replayed": "true"} if submitted.replayed else {}


def _created(job: Job, headers: dict[str, str]) -> Response[bytes]:
    return answer(job_view(job), 201, {"Location": f"/api/v1/jobs/{job.id}", **headers})


@operation(
    "GET",
    "/jobs",
    id="listJobs",
    tag="jobs",
    summary="List jobs",
    scopes=READ,
    query=JobQuery,
    answers=(Answer(200, "A page of jobs.", JobPage),),
    errors=(InvalidCursor, ParametersDisagree, DatabaseUnavailable),
)
async def list_jobs(request: HttpRequest, use_cases: Cases) -> Response[bytes]:
    """Newest first."""
    query = query_of(request, JobQuery)
    if query.id_prefix is not None:
        return await _found(use_cases, query, query.id_prefix)
    before = key_of(query.cursor)
    last = None if before is None else uuid_of(before, unknown_cursor())
    jobs = await use_cases.list_jobs(filter_of(query), last, query.limit + 1)
    page = jobs[: query.limit]
    more = cursor_of(str(page[-1].id)) if len(jobs) > len(page) else None
    return answer(JobPage(items=[job_view(job) for job in page], next_cursor=more))


async def _found(use_cases: Cases, query: JobQuery, prefix: str) -> Response[bytes]:
    if query != JobQuery(id_prefix=prefix, limit=query.limit):
        alone = Place("id_prefix", "goes with `limit` alone; leave the others out")
        raise ParametersDisagree("`id_prefix` goes with `limit` alone.", [alone])
    items = []
    for job_id in await use_cases.find_jobs(prefix, query.limit):
        try:
            items.append(job_view(await use_cases.read_job(job_id)))
        except JobNotFound:
            continue  # deleted by retention since it was found
    return answer(JobPage(items=items, next_cursor=None))


@operation(
    "GET",
    "/jobs/{job_id:str}",
    id="readJob",
    tag="jobs",
    summary="Read a job",
    scopes=READ,
    query=JobWait,
    headers={"If-None-Match": Header("The `ETag` of what you have: 304 if it is still that.", ETAG)},
    answers=(
        Answer(200, "The job.", JobView, headers={"ETag": Header("Changes with the answer.", ETAG)}),
        Answer(304, "It is what you have.", media=None, headers={"ETag": Header("As sent.", ETAG)}),
    ),
    errors=(JobNotFound, DatabaseUnavailable),
)
async def read_job(request: HttpRequest, job_id: FromPath[str], use_cases: Cases) -> Response[bytes]:
    """With `wait` the answer comes as soon as the job is final, or when the time is up."""
    wait, which = query_of(request, JobWait).wait, job_id_of(job_id)
    if wait:
        await before_closing(request, use_cases.await_job(which, wait))
    job = await use_cases.read_job(which)
    waiting = await use_cases.explain_job(job) if job.state is JobState.QUEUED else None
    body = msgspec.json.encode(job_view(job, waiting))
    etag = etag_of(body)
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if has_already(request, etag):
        return Response(b"", status_code=304, headers=headers)
    return Response(body, media_type=JSON, headers=headers)


@operation(
    "GET",
    "/jobs/{job_id:str}/attempts",
    id="listAttempts",
    tag="jobs",
    summary="List the tries of a job",
    scopes=READ,
    query=PageQuery,
    answers=(Answer(200, "A page of attempts.", AttemptPage),),
    errors=(JobNotFound, InvalidCursor, DatabaseUnavailable),
)
async def list_attempts(request: HttpRequest, job_id: FromPath[str], use_cases: Cases) -> Response[bytes]:
    """Newest first; claims that were given back before the program started are among them."""
    query = query_of(request, PageQuery)
    attempts = await use_cases.list_attempts(job_id_of(job_id))
    page, more = page_of(attempts, lambda attempt: f"{attempt.fence:012}", query)
    return answer(AttemptPage(items=[attempt_view(attempt) for attempt in page], next_cursor=more))


@operation(
    "GET",
    "/jobs/{job_id:str}/events",
    id="listEvents",
    tag="jobs",
    summary="List the changes of a job",
    scopes=READ,
    query=PageQuery,
    answers=(Answer(200, "A page of events.", EventPage),),
    errors=(JobNotFound, InvalidCursor, DatabaseUnavailable),
)
async def list_events(request: HttpRequest, job_id: FromPath[str], use_cases: Cases) -> Response[bytes]:
    """Newest first: every change, with its time and who did it."""
    query = query_of(request, PageQuery)
    events = list(enumerate(await use_cases.list_events(job_id_of(job_id))))
    page, more = page_of(events, lambda numbered: f"{numbered[0]:012}", query)
    return answer(EventPage(items=[event_view(event) for _, event in page], next_cursor=more))


@operation(
    "POST",
    "/jobs/{job_id:str}/cancel",
    id="cancelJob",
    tag="jobs",
    summary="Cancel a job",
    scopes=(Scope.JOBS_CANCEL,),
    answers=(
        Answer(200, "It is cancelled.", JobView),
        Answer(202, "It runs; its worker was asked to stop it.", JobView),
    ),
    errors=(JobNotFound, JobIsFinal, DatabaseUnavailable),
)
async def cancel_job(request: HttpRequest, job_id: FromPath[str], use_cases: Cases) -> Response[bytes]:
    """A queued job is cancelled at once. Cancelling again changes nothing."""
    job = await use_cases.cancel_job(job_id_of(job_id), request.user)
    return answer(job_view(job), 202 if job.state is JobState.RUNNING else 200)


@operation(
    "POST",
    "/jobs/{job_id:str}/retry",
    id="retryJob",
    tag="jobs",
    summary="Run a final job again",
    scopes=SUBMIT,
    answers=(Answer(201, "A new job of the same request.", JobView, headers=LOCATION),),
    errors=(JobNotFound, JobIsNotFinal, DatabaseUnavailable),
)
async def retry_job(request: HttpRequest, job_id: FromPath[str], use_cases: Cases) -> Response[bytes]:
    """The old job stays as it is; the new one names it in `retry_of`."""
    return _created(await use_cases.retry_job(job_id_of(job_id), request.user), {})


HANDLERS: Final = (
    submit_job,
    submit_batch,
    list_jobs,
    read_job,
    list_attempts,
    list_events,
    cancel_job,
    retry_job,
)
