"""Jobs under their rows' locks, as they stand once the lock is held."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres import mapping
from adapters.postgres.mapping import columns
from application.ports.job_queue import Claim, Report
from domain.job import Job, JobState

# (job, fence) is the only predicate. One more, on the state or the owner, tempts the planner onto
# another index once the plan is generic: 24 ms became 800 ms for 2,000 rows from the sixth run on.
FENCED: Final = text(f"""
SELECT {mapping.LIVE_JOB}, clock_timestamp() AS now
FROM unnest(CAST(:ids AS uuid[]), CAST(:fences AS bigint[])) AS d(job_id, fence)
JOIN etl.job_queue q ON q.job_id = d.job_id AND q.fence = d.fence
JOIN etl.job j ON j.id = q.job_id
ORDER BY q.job_id FOR UPDATE OF q
""")  # noqa: S608 - a constant
_LOCK: Final = text("SELECT job_id FROM etl.job_queue WHERE job_id = :id FOR UPDATE")
_LOAD: Final = text(f"""
SELECT {mapping.JOB}, clock_timestamp() AS now
FROM {mapping.ALL_JOBS}
WHERE j.id = ANY (CAST(:ids AS uuid[])) ORDER BY j.id
""")  # noqa: S608 - a constant


@dataclass(frozen=True, slots=True)
class Locked:
    """Jobs that nobody else changes before this transaction ends, and the database's clock."""

    jobs: tuple[Job, ...]
    at: datetime


async def running(connection: AsyncConnection, claims: Sequence[Claim] | Sequence[Report]) -> Locked | None:
    """The jobs of those claims whose fence is the current one, locked in the order of their ids."""
    if not claims:
        return None
    once = list(dict.fromkeys((claim.job_id, claim.fence) for claim in claims))
    arrays = columns(once, ("ids", "fences"))
    return locked((await connection.execute(FENCED, arrays)).all(), JobState.RUNNING)


async def one(connection: AsyncConnection, job_id: UUID) -> Locked | None:
    """The job, locked while it is live; a final one needs no lock."""
    await connection.execute(_LOCK, {"id": job_id})
    return locked((await connection.execute(_LOAD, {"ids": [job_id]})).all())


async def load(connection: AsyncConnection, job_ids: Sequence[UUID]) -> dict[UUID, Job]:
    """The jobs as they stand, without a lock."""
    rows = await connection.execute(_LOAD, {"ids": list(job_ids)})
    return {row.id: mapping.job(row) for row in rows}


def locked(rows: Sequence[Row[Any]], state: JobState | None = None) -> Locked | None:
    """None where there is no job (of this state)."""
    jobs = tuple(mapping.job(row) for row in rows if state is None or row.state == state)
    return Locked(jobs, max(row.now for row in rows)) if jobs else None
