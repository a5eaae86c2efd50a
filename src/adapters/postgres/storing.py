"""Writing decided changes back, all of a batch in one statement a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres import limits, mapping
from domain.attempt import Ending
from domain.event import Event, events_between
from domain.job import Job, JobState

_LIVE: Final = text("""
UPDATE etl.job_queue q SET
    state = d.state, parked_on = NULL, parked_limit = NULL, due_at = d.due_at, attempt = d.attempt,
    fence = d.fence, session_id = d.session_id, worker = d.worker, attempt_started = d.attempt_started,
    started_at = d.started_at, not_before = d.not_before, cancel_requested_at = d.cancel_requested_at
FROM unnest(
    CAST(:job_id AS uuid[]), CAST(:state AS text[]), CAST(:due_at AS timestamptz[]), CAST(:attempt AS int[]),
    CAST(:fence AS bigint[]), CAST(:session_id AS uuid[]), CAST(:worker AS text[]),
    CAST(:attempt_started AS boolean[]), CAST(:started_at AS timestamptz[]),
    CAST(:not_before AS timestamptz[]), CAST(:cancel_requested_at AS timestamptz[])
) AS d(job_id, state, due_at, attempt, fence, session_id, worker, attempt_started, started_at, not_before,
       cancel_requested_at)
WHERE q.job_id = d.job_id
""")
_LIVE_NAMES: Final = (
    "job_id", "state", "due_at", "attempt", "fence", "session_id", "worker", "attempt_started", "started_at",
    "not_before", "cancel_requested_at",
)  # fmt: skip

_FINAL: Final = text("""
WITH d AS (SELECT * FROM unnest(
    CAST(:job_id AS uuid[]), CAST(:final_state AS text[]), CAST(:finished_at AS timestamptz[]),
    CAST(:attempt AS int[]), CAST(:fence AS bigint[]), CAST(:worker AS text[]),
    CAST(:attempt_started AS boolean[]), CAST(:started_at AS timestamptz[]),
    CAST(:cancel_requested_at AS timestamptz[]), CAST(:outcome AS text[]), CAST(:reason AS text[]),
    CAST(:usage AS text[])
) AS d(job_id, final_state, finished_at, attempt, fence, worker, attempt_started, started_at,
       cancel_requested_at, outcome, reason, usage)),
gone AS (DELETE FROM etl.job_queue q USING d WHERE q.job_id = d.job_id)
UPDATE etl.job j SET
    final_state = d.final_state, finished_at = d.finished_at, attempt = d.attempt, fence = d.fence,
    worker = d.worker, attempt_started = d.attempt_started, started_at = d.started_at,
    cancel_requested_at = d.cancel_requested_at, outcome = d.outcome, reason = CAST(d.reason AS json),
    usage = CAST(d.usage AS json)
FROM d WHERE j.id = d.job_id
""")
_FINAL_NAMES: Final = (
    "job_id", "final_state", "finished_at", "attempt", "fence", "worker", "attempt_started", "started_at",
    "cancel_requested_at", "outcome", "reason", "usage",
)  # fmt: skip

_LATEST_END: Final = text("""
UPDATE etl.job j SET outcome = d.outcome, reason = CAST(d.reason AS json), usage = CAST(d.usage AS json)
FROM unnest(
    CAST(:job_id AS uuid[]), CAST(:outcome AS text[]), CAST(:reason AS text[]), CAST(:usage AS text[])
) AS d(job_id, outcome, reason, usage)
WHERE j.id = d.job_id
""")

_ATTEMPT_END: Final = text("""
UPDATE etl.attempt a SET finished_at = :at, ending = CAST(d.ending AS json)
FROM unnest(CAST(:job_id AS uuid[]), CAST(:fence AS bigint[]), CAST(:ending AS text[]))
    AS d(job_id, fence, ending)
WHERE a.job_id = d.job_id AND a.fence = d.fence
""")

_EVENTS: Final = text("""
INSERT INTO etl.event (job_id, at, kind, actor, attempt, detail)
SELECT * FROM unnest(
    CAST(:job_id AS uuid[]), CAST(:at AS timestamptz[]), CAST(:kind AS text[]), CAST(:actor AS text[]),
    CAST(:attempt AS int[]), CAST(:detail AS text[])
)
""")


@dataclass(frozen=True, slots=True)
class Change:
    """One job under its row's lock, before and after a decision."""

    before: Job
    after: Job
    actor: str


async def store(connection: AsyncConnection, changes: Sequence[Change], at: datetime) -> set[str]:
    """Writes what changed, with its events. Returns the limits of which units became free."""
    changed = [c for c in changes if c.after != c.before]
    live = [_live(c.after, at) for c in changed if not c.after.state.is_final]
    final = [_final(c.after) for c in changed if c.after.state.is_final]
    again = [_latest(c.after) for c in changed if not c.after.state.is_final and _ended(c)]
    await _write(connection, _LIVE, live, _LIVE_NAMES)
    await _write(connection, _FINAL, final, _FINAL_NAMES)
    await _write(connection, _LATEST_END, again, ("job_id", "outcome", "reason", "usage"))
    await add_events(connection, [e for c in changed for e in events_between(c.before, c.after, at, c.actor)])
    return await limits.free(connection, [c.after.id for c in changed if _stopped_running(c)])


async def end_attempts(
    connection: AsyncConnection, ends: Sequence[tuple[UUID, int, Ending | None]], at: datetime
) -> None:
    """Closes the record of attempts; an ending of None is a claim that was given back."""
    if ends:
        rows = [(job_id, fence, mapping.document(ending)) for job_id, fence, ending in ends]
        arrays = mapping.columns(rows, ("job_id", "fence", "ending"))
        await connection.execute(_ATTEMPT_END, {**arrays, "at": at})


async def add_events(connection: AsyncConnection, events: Sequence[Event]) -> None:
    rows = [(e.job_id, e.at, e.kind.value, e.actor, e.attempt, e.detail) for e in events]
    await _write(connection, _EVENTS, rows, ("job_id", "at", "kind", "actor", "attempt", "detail"))


async def _write(
    connection: AsyncConnection, statement: Any, rows: Sequence[Sequence[Any]], names: Sequence[str]
) -> None:
    if rows:
        await connection.execute(statement, mapping.columns(rows, names))


def _live(job: Job, at: datetime) -> tuple[Any, ...]:
    return (
        job.id, job.state.value, mapping.due_at(job, at), job.attempt, job.fence, job.session_id, job.worker,
        job.attempt_started, job.started_at, job.not_before, job.cancel_requested_at,
    )  # fmt: skip


def _final(job: Job) -> tuple[Any, ...]:
    return (
        job.id, job.state.value, job.finished_at, job.attempt, job.fence, job.worker, job.attempt_started,
        job.started_at, job.cancel_requested_at, job.outcome, mapping.document(job.reason),
        mapping.document(job.usage),
    )  # fmt: skip


def _latest(job: Job) -> tuple[Any, ...]:
    return job.id, job.outcome, mapping.document(job.reason), mapping.document(job.usage)


def _ended(change: Change) -> bool:
    before, after = change.before, change.after
    return (before.outcome, before.reason, before.usage) != (after.outcome, after.reason, after.usage)


def _stopped_running(change: Change) -> bool:
    return change.before.state is JobState.RUNNING and change.after.state is not JobState.RUNNING
