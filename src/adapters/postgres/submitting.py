"""Submitting: the job and its row in the queue, all or none."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres import limits, locking
from adapters.postgres.mapping import columns, document
from application.ports.job_queue import Idempotency, Submitted
from domain.access import NOT_VALID
from domain.errors import IdempotencyKeyReused, Unauthenticated
from domain.job import Job

_STANDS: Final = text("SELECT FROM etl.api_key WHERE id = :id AND revoked_at IS NULL")

# Waits for a request with the same key that has not committed yet, and then inserts nothing.
_RESERVE_KEY: Final = text("""
INSERT INTO etl.idempotency (owner, key, digest, job_ids)
VALUES (:owner, :key, :digest, CAST(:job_ids AS uuid[])) ON CONFLICT (owner, key) DO NOTHING
RETURNING true
""")
_FIND_KEY: Final = text("SELECT digest, job_ids FROM etl.idempotency WHERE owner = :owner AND key = :key")

_NAME_QUEUES: Final = text("""
INSERT INTO etl.queue (name)
SELECT n FROM (SELECT DISTINCT unnest(CAST(:names AS text[])) AS n) d
WHERE NOT EXISTS (SELECT FROM etl.queue s WHERE s.name = d.n)
ORDER BY n ON CONFLICT DO NOTHING
""")

# coalesce: said plainly it would be a join, and of two documents without an index, see connecting.py.
# A job whose id is already there came with an earlier try of this very call, whose answer was lost.
_INSERT: Final = text("""
WITH d AS (SELECT * FROM unnest(
    CAST(:id AS uuid[]), CAST(:spec AS text[]), CAST(:queue AS text[]), CAST(:script AS text[]),
    CAST(:labels AS text[]), CAST(:submitted_at AS timestamptz[]), CAST(:submitted_by AS text[]),
    CAST(:retry_of AS uuid[]), CAST(:priority AS smallint[]), CAST(:max_attempts AS int[]),
    CAST(:not_before AS timestamptz[]), CAST(:expires_at AS timestamptz[]), CAST(:limit_key AS text[]),
    CAST(:limit_count AS int[])
) AS d(id, spec, queue, script, labels, submitted_at, submitted_by, retry_of, priority, max_attempts,
       not_before, expires_at, limit_key, limit_count)),
new AS (
    INSERT INTO etl.job (id, spec, queue, script, labels, submitted_at, submitted_by, retry_of)
    SELECT id, CAST(spec AS json), queue, script, CAST(labels AS jsonb), submitted_at, submitted_by, retry_of
    FROM d ON CONFLICT (id) DO NOTHING RETURNING id
)
INSERT INTO etl.job_queue (job_id, queue, priority, due_at, state, attempt, max_attempts, fence,
    submitted_at, not_before, expires_at, limit_key, limit_count)
SELECT d.id, d.queue, d.priority, coalesce(d.not_before, least(d.submitted_at, statement_timestamp())),
    'queued', 0, d.max_attempts, 0, d.submitted_at, d.not_before, d.expires_at, d.limit_key,
    d.limit_count
FROM d WHERE coalesce(d.id IN (SELECT id FROM new), false)
RETURNING job_id
""")
_NAMES: Final = (
    "id", "spec", "queue", "script", "labels", "submitted_at", "submitted_by", "retry_of", "priority",
    "max_attempts", "not_before", "expires_at", "limit_key", "limit_count",
)  # fmt: skip


async def submit(
    connection: AsyncConnection, jobs: Sequence[Job], idempotency: Idempotency | None, key_id: UUID | None
) -> Submitted:
    if key_id is not None and (await connection.execute(_STANDS, {"id": key_id})).first() is None:
        raise Unauthenticated(NOT_VALID)
    if idempotency is not None:
        earlier = await _reserve(connection, idempotency, [job.id for job in jobs])
        if earlier is not None:
            return Submitted(jobs=await _stored(connection, earlier), replayed=True)
    if not jobs:
        return Submitted(jobs=())
    await connection.execute(_NAME_QUEUES, {"names": [job.spec.queue for job in jobs]})
    await limits.ensure(connection, jobs)
    inserted = await connection.execute(_INSERT, columns([_row(job) for job in jobs], _NAMES))
    new = {row.job_id for row in inserted}
    if len(new) == len(jobs):
        return Submitted(jobs=tuple(jobs))
    return Submitted(jobs=await _stored(connection, [job.id for job in jobs]))


async def _reserve(
    connection: AsyncConnection, idempotency: Idempotency, job_ids: Sequence[UUID]
) -> list[UUID] | None:
    """None if this request is the first with its key, else the ids of the first one's jobs."""
    named = {"owner": idempotency.owner, "key": idempotency.key}
    request = {**named, "digest": idempotency.digest, "job_ids": list(job_ids)}
    if (await connection.execute(_RESERVE_KEY, request)).first() is not None:
        return None
    row = (await connection.execute(_FIND_KEY, named)).one()
    if bytes(row.digest) != idempotency.digest:
        raise IdempotencyKeyReused("This Idempotency-Key came before with another request.")
    return list(row.job_ids)


async def _stored(connection: AsyncConnection, job_ids: Sequence[UUID]) -> tuple[Job, ...]:
    found = await locking.load(connection, job_ids)
    return tuple(found[job_id] for job_id in job_ids if job_id in found)


def _row(job: Job) -> tuple[Any, ...]:
    spec, limit = job.spec, job.spec.concurrency
    return (
        job.id, document(spec), spec.queue, spec.command.script, document(dict(spec.labels)),
        job.submitted_at, job.submitted_by, job.retry_of, spec.priority, spec.retry.max_attempts,
        job.not_before, spec.expires_at, limit.key if limit else None, limit.limit if limit else None,
    )  # fmt: skip
