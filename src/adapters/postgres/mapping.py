"""Rows to entities and back, field by field: a new field of the domain leaks nowhere until it stands here."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import Row

from domain.access import ApiKey, Scope
from domain.attempt import Attempt, Ending, Outcome, Reason
from domain.event import Event, EventKind
from domain.job import Job, JobState
from domain.job_spec import JobSpec
from domain.worker import Worker, WorkerState

_LATEST_ENDING: Final = """(
    SELECT CAST(a.ending AS text) FROM etl.attempt a WHERE a.job_id = j.id AND a.ending IS NOT NULL
    ORDER BY a.fence DESC LIMIT 1)"""

JOB: Final = f"""
    j.id, CAST(j.spec AS text) AS spec, j.submitted_at, j.submitted_by, j.retry_of,
    coalesce(q.state, e.final_state) AS state, q.not_before, q.session_id, e.finished_at,
    coalesce(q.put_backs, 0) AS put_backs,
    coalesce(q.attempt, e.attempt) AS attempt, coalesce(q.fence, e.fence) AS fence,
    coalesce(q.worker, e.worker) AS worker,
    q.attempt_started_at IS NOT NULL OR coalesce(e.attempt_started, false) AS attempt_started,
    coalesce(q.started_at, e.started_at) AS started_at,
    coalesce(q.cancel_requested_at, e.cancel_requested_at) AS cancel_requested_at,
    {_LATEST_ENDING} AS ending, e.outcome, CAST(e.reason AS text) AS reason
"""
"""The columns of a whole job, live or final, from `ALL_JOBS`."""

ALL_JOBS: Final = """etl.job j
    LEFT JOIN etl.job_queue q ON q.job_id = j.id LEFT JOIN etl.job_end e ON e.job_id = j.id"""

ATTEMPT: Final = "job_id, fence, number, session_id, worker, claimed_at, started_at, finished_at"
"""The columns of an attempt, but for its `ending`."""

_RUNNING_ATTEMPT: Final = (
    "q.job_id, q.fence, q.attempt, q.session_id, q.worker, q.claimed_at, q.attempt_started_at"
)

ATTEMPTS: Final = f"""
    SELECT {ATTEMPT}, ending FROM etl.attempt WHERE job_id = :id
    UNION ALL
    SELECT {_RUNNING_ATTEMPT}, NULL, NULL FROM etl.job_queue q WHERE q.job_id = :id AND q.state = 'running'
"""  # noqa: S608 - a constant
"""Every attempt of job `:id`: those that have ended, and the one that runs."""

END_ATTEMPT: Final = f"INSERT INTO etl.attempt ({ATTEMPT}, ending) SELECT {_RUNNING_ATTEMPT}"
"""That the attempt of row `q` of the queue has ended. Goes on with the instant, the ending, and FROM."""

_LIVE_COLUMNS: Final = """
    j.id, CAST(j.spec AS text) AS spec, j.submitted_at, j.submitted_by, j.retry_of, q.state, q.not_before,
    q.session_id, NULL AS finished_at, q.put_backs, q.attempt, q.fence, q.worker,
    q.attempt_started_at IS NOT NULL AS attempt_started, q.started_at, q.cancel_requested_at,
    NULL AS outcome, NULL AS reason
"""
# Most jobs run for the first time, and have no earlier attempt to look for.
_EARLIER_ENDING: Final = f"CASE WHEN q.state <> 'running' OR q.fence > 1 THEN {_LATEST_ENDING} END AS ending"

LIVE_JOB: Final = f"{_LIVE_COLUMNS}, {_EARLIER_ENDING}"
"""The columns of a live job, from etl.job `j` and etl.job_queue `q`."""

SUCCEEDED_JOB: Final = """
    j.id, CAST(j.spec AS text) AS spec, j.submitted_at, j.submitted_by, j.retry_of, q.attempt, q.fence,
    q.worker, q.attempt_started_at IS NOT NULL AS attempt_started, q.started_at, q.cancel_requested_at
"""
"""The same where all else is known; goes on with `finished_at`."""

_STATES: Final = {**{state.value: state for state in JobState}, "parked": JobState.QUEUED}
_OUTCOMES: Final = {outcome.value: outcome for outcome in Outcome}
# A look into a dictionary costs a tenth of what an Enum's call does.

_ENCODER: Final = msgspec.json.Encoder()
_SPEC: Final = msgspec.json.Decoder(JobSpec)
_REASON: Final = msgspec.json.Decoder(Reason)
_ENDING: Final = msgspec.json.Decoder(Ending)


def job(row: Any) -> Job:
    """Outcome and reason are the latest attempt's, unless the job ended without one."""
    latest = ending(row.ending)
    outcome, reason = (latest.outcome, latest.reason) if latest else (None, None)
    if row.outcome is not None:
        outcome, reason = _OUTCOMES[row.outcome], _REASON.decode(row.reason)
    return Job(
        id=row.id,
        spec=_SPEC.decode(row.spec),
        submitted_at=row.submitted_at,
        submitted_by=row.submitted_by,
        retry_of=row.retry_of,
        state=_STATES[row.state],
        not_before=row.not_before,
        attempt=row.attempt,
        fence=row.fence,
        session_id=row.session_id,
        worker=row.worker,
        attempt_started=row.attempt_started,
        started_at=row.started_at,
        finished_at=row.finished_at,
        cancel_requested_at=row.cancel_requested_at,
        outcome=outcome,
        reason=reason,
        usage=latest.exit.usage if latest else None,
        put_backs=row.put_backs,
    )


def succeeded_job(row: Any, ending: Ending) -> Job:
    """A job whose attempt has just ended so."""
    return Job(
        id=row.id,
        spec=_SPEC.decode(row.spec),
        submitted_at=row.submitted_at,
        submitted_by=row.submitted_by,
        retry_of=row.retry_of,
        state=JobState.SUCCEEDED,
        attempt=row.attempt,
        fence=row.fence,
        worker=row.worker,
        attempt_started=row.attempt_started,
        started_at=row.started_at,
        finished_at=row.finished_at,
        cancel_requested_at=row.cancel_requested_at,
        outcome=ending.outcome,
        reason=ending.reason,
        usage=ending.exit.usage,
    )


def spec(document: str) -> JobSpec:
    return _SPEC.decode(document)


def attempt(row: Row[Any]) -> Attempt:
    return Attempt(
        job_id=row.job_id,
        number=row.number,
        fence=row.fence,
        session_id=row.session_id,
        worker=row.worker,
        claimed_at=row.claimed_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        ending=ending(row.ending),
    )


def ending(document: str | None) -> Ending | None:
    return None if document is None else _ENDING.decode(document)


def event(row: Row[Any]) -> Event:
    return Event(
        job_id=row.job_id,
        at=row.at,
        kind=EventKind(row.kind),
        actor=row.actor,
        attempt=row.attempt,
        fence=row.fence,
        detail=row.detail,
    )


def worker(row: Row[Any]) -> Worker:
    return Worker(
        id=row.id,
        host=row.host,
        pid=row.pid,
        version=row.version,
        slots=row.slots,
        queues=tuple(row.queues),
        labels=row.labels,
        state=WorkerState(row.state),
        started_at=row.started_at,
        seen_at=row.seen_at,
        running=row.running,
    )


def api_key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        digest=bytes(row.digest),
        prefix=row.prefix,
        scopes=frozenset(Scope(scope) for scope in row.scopes),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )


def document(value: object) -> str | None:
    """A value as JSON text; None stays None."""
    return None if value is None else msgspec.json.encode(value).decode()


def document_lines(values: Sequence[object]) -> str:
    """Values as lines of JSON text, one each."""
    return _ENCODER.encode_lines(values).decode().removesuffix("\n")


def array(values: Iterable[object]) -> str:
    """Ids or numbers as PostgreSQL's text of an array: one of psycopg's own, made of a list, takes 50 µs
    however short it is.
    """
    return f"{{{','.join([str(value) for value in values])}}}"


def key_arrays(keys: Sequence[tuple[UUID, int]]) -> dict[str, str]:
    """The jobs and fences of attempts."""
    return {"ids": array(job_id for job_id, _ in keys), "fences": array(fence for _, fence in keys)}


def storable(given: Ending) -> Ending:
    """The ending with no character that PostgreSQL or UTF-8 cannot hold: a report that could not be
    stored would be sent again for ever.
    """
    told = (given.reason.message, *given.reason.last_lines, given.exit.lost, given.exit.start_error)
    if all(text is None or text == _clean(text) for text in told):
        return given
    reason = replace(
        given.reason,
        message=_clean(given.reason.message),
        last_lines=tuple(_clean(line) for line in given.reason.last_lines),
    )
    exit_ = replace(
        given.exit,
        lost=None if given.exit.lost is None else _clean(given.exit.lost),
        start_error=None if given.exit.start_error is None else _clean(given.exit.start_error),
    )
    return replace(given, reason=reason, exit=exit_)


def _clean(text: str) -> str:
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


def due_at(after: Job, at: datetime) -> datetime:
    """From when on a queued job may be claimed. Never later than now for a job that states no time:
    `submitted_at` is another machine's wall clock, which may be ahead.
    """
    return after.not_before or min(after.submitted_at, at)


def columns(rows: Sequence[Sequence[Any]], names: Sequence[str]) -> dict[str, list[Any]]:
    """Rows turned into one array a column, as unnest takes them."""
    turned = zip(*rows, strict=True) if rows else ((),) * len(names)
    return {name: list(values) for name, values in zip(names, turned, strict=True)}
