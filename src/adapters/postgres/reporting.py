"""What workers tell of their attempts: started, ended, given back, adopted. Fenced, in batches."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres import locking, mapping
from adapters.postgres.mapping import columns
from adapters.postgres.storing import Change, store
from application.ports.clock import Chance
from application.ports.job_queue import Claim, Report
from domain.attempt import Ending
from domain.job import Job

_ENDED: Final = text("""
SELECT a.job_id, a.fence, CAST(a.ending AS text) AS ending
FROM unnest(CAST(:ids AS uuid[]), CAST(:fences AS bigint[])) AS d(job_id, fence)
JOIN etl.attempt a ON a.job_id = d.job_id AND a.fence = d.fence
WHERE a.ending IS NOT NULL
""")
_SESSION: Final = text("""
SELECT host, pid FROM etl.worker_session
WHERE id = :id AND state <> 'dead' AND lease_expires_at > clock_timestamp() FOR SHARE
""")
# What the rows told of the worker before it, word for word: from now on they name its successor.
_TELL_APART: Final = text("""
INSERT INTO etl.event (job_id, at, kind, actor, attempt, fence)
SELECT q.job_id, t.at, t.kind, 'worker ' || q.worker, q.attempt, q.fence
FROM unnest(CAST(:ids AS uuid[]), CAST(:fences AS bigint[])) AS d(job_id, fence)
JOIN etl.job_queue q ON q.job_id = d.job_id AND q.fence = d.fence,
LATERAL (VALUES ('claimed', q.claimed_at), ('started', q.attempt_started_at)) AS t(kind, at)
WHERE t.at IS NOT NULL AND NOT EXISTS (
    SELECT FROM etl.event e WHERE e.job_id = q.job_id AND e.fence = q.fence AND e.kind = t.kind)
""")


async def start(connection: AsyncConnection, claims: Sequence[Claim]) -> list[Claim]:
    locked = await locking.running(connection, claims)
    if locked is None:
        return []
    willing = [job for job in locked.jobs if job.cancel_requested_at is None]
    new = [job for job in willing if not job.attempt_started]
    await store(connection, [Change(j, j.started(locked.at), _actor(j)) for j in new], locked.at)
    return _of(claims, willing)


async def report(
    connection: AsyncConnection, reports: Sequence[Report], chance: Chance, freed: set[str]
) -> dict[tuple[UUID, int], Job]:
    """By (job, fence): of two reports of one job at most one is of its current fence."""
    endings = {(r.job_id, r.fence): mapping.storable(r.ending) for r in reports}
    locked = await locking.running(connection, reports)
    after: dict[tuple[UUID, int], Job] = {}
    if locked is not None:
        changes = [
            Change(job, job.ended(end, locked.at, chance.fraction()), _actor(job), end)
            for job in locked.jobs
            for end in [endings[job.id, job.fence]]
        ]
        freed |= await store(connection, changes, locked.at)
        after = {(change.after.id, change.after.fence): change.after for change in changes}
    if rest := [r for r in reports if (r.job_id, r.fence) not in after]:
        after |= await _accepted_before(connection, rest, endings)
    return after


async def _accepted_before(
    connection: AsyncConnection, reports: Sequence[Report], endings: dict[tuple[UUID, int], Ending]
) -> dict[tuple[UUID, int], Job]:
    """The jobs of those reports that came before, word for word, and whose answer was lost."""
    rows = await connection.execute(_ENDED, _keys(reports))
    repeated = [r for r in rows if mapping.ending(r.ending) == endings[r.job_id, r.fence]]
    jobs = await locking.load(connection, [row.job_id for row in repeated]) if repeated else {}
    return {
        (row.job_id, row.fence): jobs[row.job_id] for row in repeated if jobs[row.job_id].fence == row.fence
    }


async def put_back(connection: AsyncConnection, claims: Sequence[Claim], freed: set[str]) -> list[Claim]:
    locked = await locking.running(connection, claims)
    if locked is None:
        return []
    idle = [job for job in locked.jobs if not job.attempt_started]
    freed |= await store(connection, [Change(j, j.put_back(locked.at), _actor(j)) for j in idle], locked.at)
    return _of(claims, idle)


async def adopt(connection: AsyncConnection, session_id: UUID, claims: Sequence[Claim]) -> list[Job]:
    session = (await connection.execute(_SESSION, {"id": session_id})).first()
    locked = await locking.running(connection, claims) if session is not None else None
    if session is None or locked is None:
        return []
    worker = f"{session.host}:{session.pid}"
    changes = [Change(job, job.adopted(session_id, worker), f"worker {worker}") for job in locked.jobs]
    await connection.execute(_TELL_APART, _keys(locked.jobs))
    await store(connection, changes, locked.at)
    return [change.after for change in changes]


def _actor(job: Job) -> str:
    return f"worker {job.worker}"


def _of(claims: Sequence[Claim], jobs: Sequence[Job]) -> list[Claim]:
    kept = {(job.id, job.fence) for job in jobs}
    return [claim for claim in claims if (claim.job_id, claim.fence) in kept]


def _keys(items: Sequence[Job] | Sequence[Report]) -> dict[str, list[Any]]:
    rows = [(item.id if isinstance(item, Job) else item.job_id, item.fence) for item in items]
    return columns(rows, ("ids", "fences"))
