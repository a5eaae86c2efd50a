"""Writing decided changes back, all of a batch in one statement a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres import limits, mapping
from domain.attempt import Ending
from domain.event import Event, EventKind, events_between
from domain.job import Job, JobState

TOLD_BY_ROWS: Final = frozenset(
    {EventKind.SUBMITTED, EventKind.CLAIMED, EventKind.STARTED, EventKind.SUCCEEDED}
)
"""The events that a job's and its attempts' rows tell by themselves (telling.py): nine of ten."""

# The attempt of the row in the queue has ended, or was given back (an ending of NULL).
_ATTEMPT_END: Final = text(f"""
{mapping.END_ATTEMPT}, :at, CAST(d.ending AS json)
FROM unnest(CAST(:job_id AS uuid[]), CAST(:ending AS text[])) AS d(job_id, ending)
JOIN etl.job_queue q ON q.job_id = d.job_id
""")

_LIVE: Final = text("""
UPDATE etl.job_queue q SET
    state = d.state, parked_on = NULL, parked_limit = NULL, due_at = d.due_at, attempt = d.attempt,
    fence = d.fence, session_id = d.session_id, worker = d.worker,
    claimed_at = CASE WHEN d.state = 'running' THEN q.claimed_at END,
    attempt_started_at = CASE WHEN d.attempt_started THEN coalesce(q.attempt_started_at, :at) END,
    started_at = d.started_at, not_before = d.not_before, cancel_requested_at = d.cancel_requested_at,
    put_backs = d.put_backs
FROM unnest(
    CAST(:job_id AS uuid[]), CAST(:state AS text[]), CAST(:due_at AS timestamptz[]), CAST(:attempt AS int[]),
    CAST(:fence AS bigint[]), CAST(:session_id AS uuid[]), CAST(:worker AS text[]),
    CAST(:attempt_started AS boolean[]), CAST(:started_at AS timestamptz[]),
    CAST(:not_before AS timestamptz[]), CAST(:cancel_requested_at AS timestamptz[]),
    CAST(:put_backs AS int[])
) AS d(job_id, state, due_at, attempt, fence, session_id, worker, attempt_started, started_at, not_before,
       cancel_requested_at, put_backs)
WHERE q.job_id = d.job_id
""")
_LIVE_NAMES: Final = (
    "job_id", "state", "due_at", "attempt", "fence", "session_id", "worker", "attempt_started", "started_at",
    "not_before", "cancel_requested_at", "put_backs",
)  # fmt: skip

_FINAL: Final = text("""
WITH d AS (SELECT * FROM unnest(
    CAST(:job_id AS uuid[]), CAST(:final_state AS text[]), CAST(:finished_at AS timestamptz[]),
    CAST(:attempt AS int[]), CAST(:fence AS bigint[]), CAST(:worker AS text[]),
    CAST(:attempt_started AS boolean[]), CAST(:started_at AS timestamptz[]),
    CAST(:cancel_requested_at AS timestamptz[]), CAST(:outcome AS text[]), CAST(:reason AS text[])
) AS d(job_id, final_state, finished_at, attempt, fence, worker, attempt_started, started_at,
       cancel_requested_at, outcome, reason)),
gone AS (DELETE FROM etl.job_queue q USING d WHERE q.job_id = d.job_id)
INSERT INTO etl.job_end (job_id, final_state, finished_at, attempt, fence, worker, attempt_started,
    started_at, cancel_requested_at, outcome, reason)
SELECT job_id, final_state, finished_at, attempt, fence, worker, attempt_started, started_at,
    cancel_requested_at, outcome, CAST(reason AS json) FROM d
""")
_FINAL_NAMES: Final = (
    "job_id", "final_state", "finished_at", "attempt", "fence", "worker", "attempt_started", "started_at",
    "cancel_requested_at", "outcome", "reason",
)  # fmt: skip

_EVENTS: Final = text("""
INSERT INTO etl.event (job_id, at, kind, actor, attempt, fence, detail)
SELECT * FROM unnest(
    CAST(:job_id AS uuid[]), CAST(:at AS timestamptz[]), CAST(:kind AS text[]), CAST(:actor AS text[]),
    CAST(:attempt AS int[]), CAST(:fence AS bigint[]), CAST(:detail AS text[])
)
""")
_EVENT_NAMES: Final = ("job_id", "at", "kind", "actor", "attempt", "fence", "detail")


@dataclass(frozen=True, slots=True)
class Change:
    """One job under its row's lock, before and after a decision, and the end of its attempt if that
    made it. A job that runs no more without one was given back.
    """

    before: Job
    after: Job
    actor: str
    ending: Ending | None = None


async def store(connection: AsyncConnection, changes: Sequence[Change], at: datetime) -> set[str]:
    """Writes what changed, with its events. Returns the limits of which units became free."""
    changed = [c for c in changes if c.after != c.before]
    stopped = [c for c in changed if _stopped_running(c)]
    live = [_live(c.after, at) for c in changed if not c.after.state.is_final]
    final = [_final(c) for c in changed if c.after.state.is_final]
    ends = [(c.after.id, mapping.document(c.ending)) for c in stopped]
    await _write(connection, _ATTEMPT_END, ends, ("job_id", "ending"), at=at)
    await _write(connection, _LIVE, live, _LIVE_NAMES, at=at)
    await _write(connection, _FINAL, final, _FINAL_NAMES)
    events = [e for c in changed for e in events_between(c.before, c.after, at, c.actor)]
    told = [_event(e) for e in events if e.kind not in TOLD_BY_ROWS]
    await _write(connection, _EVENTS, told, _EVENT_NAMES)
    return await limits.free(connection, [c.after.id for c in stopped])


async def _write(
    connection: AsyncConnection,
    statement: Any,
    rows: Sequence[Sequence[Any]],
    names: Sequence[str],
    **once: object,
) -> None:
    if rows:
        await connection.execute(statement, {**mapping.columns(rows, names), **once})


def _live(job: Job, at: datetime) -> tuple[Any, ...]:
    return (
        job.id, job.state.value, mapping.due_at(job, at), job.attempt, job.fence, job.session_id, job.worker,
        job.attempt_started, job.started_at, job.not_before, job.cancel_requested_at, job.put_backs,
    )  # fmt: skip


def _final(change: Change) -> tuple[Any, ...]:
    job = change.after
    own = (job.outcome, mapping.document(job.reason)) if change.ending is None else (None, None)
    return (
        job.id, job.state.value, job.finished_at, job.attempt, job.fence, job.worker, job.attempt_started,
        job.started_at, job.cancel_requested_at, *own,
    )  # fmt: skip


def _event(event: Event) -> tuple[Any, ...]:
    return event.job_id, event.at, event.kind.value, event.actor, event.attempt, event.fence, event.detail


def _stopped_running(change: Change) -> bool:
    return change.before.state is JobState.RUNNING and change.after.state is not JobState.RUNNING
