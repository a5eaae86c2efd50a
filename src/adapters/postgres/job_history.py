"""Reading jobs on PostgreSQL, live and final, and forgetting the old ones."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres import listing, mapping, surrounding
from adapters.postgres.engine import Database
from adapters.postgres.telling import EVENTS
from application.asking.batching import CALLERS_PATIENCE, Batch
from application.ports.job_history import JobFilter
from domain.attempt import Attempt
from domain.errors import JobNotFound
from domain.event import Event
from domain.job import Job
from domain.waiting import Surroundings

HEX_DIGITS: Final = 32

# At once, for it is what callers ask most.
_GET: Final = f"""
SELECT {mapping.JOB} FROM {mapping.ALL_JOBS} WHERE j.id = ANY(%(ids)s::uuid[])
"""  # noqa: S608 - a constant
_FIND: Final = text("""
SELECT id FROM etl.job WHERE id BETWEEN :low AND :high ORDER BY id DESC LIMIT :limit
""")
_ATTEMPTS: Final = text(f"""
SELECT {mapping.ATTEMPT}, CAST(ending AS text) AS ending FROM ({mapping.ATTEMPTS}) every ORDER BY fence
""")  # noqa: S608 - as above
_EXISTS: Final = text("SELECT FROM etl.job WHERE id = :id")

_PRUNE: Final = text("""
WITH gone AS (
    DELETE FROM etl.job_end WHERE job_id IN (
        SELECT job_id FROM etl.job_end WHERE finished_at < :before ORDER BY finished_at LIMIT :limit
        FOR UPDATE SKIP LOCKED
    ) RETURNING job_id AS id
), jobs AS (DELETE FROM etl.job j USING gone WHERE j.id = gone.id),
attempts AS (DELETE FROM etl.attempt a USING gone WHERE a.job_id = gone.id),
events AS (DELETE FROM etl.event e USING gone WHERE e.job_id = gone.id),
requests AS (DELETE FROM etl.idempotency i USING gone WHERE i.job_ids[1] = gone.id)
SELECT id FROM gone
""")


class PostgresJobHistory:
    """JobHistory."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gets: Batch[UUID, Job] = Batch(self._get, CALLERS_PATIENCE)

    async def get(self, job_id: UUID) -> Job:
        """Read after it was asked for; those asked for while others are being read go together."""
        return await self._gets(job_id)

    async def find(self, prefix: str, limit: int) -> Sequence[UUID]:
        digits = prefix.replace("-", "").lower()
        if len(digits) > HEX_DIGITS or not all(d in "0123456789abcdef" for d in digits):
            return []
        low, high = UUID(digits.ljust(HEX_DIGITS, "0")), UUID(digits.ljust(HEX_DIGITS, "f"))
        rows = await self._database.rows(_FIND, {"low": low, "high": high, "limit": limit})
        return [row.id for row in rows]

    async def list(self, matching: JobFilter, before: UUID | None, limit: int) -> Sequence[Job]:
        statement, values = listing.query(matching, before, limit)
        return [mapping.job(row) for row in await self._database.rows(text(statement), values)]

    async def attempts(self, job_id: UUID) -> Sequence[Attempt]:
        return [mapping.attempt(row) for row in await self._of(job_id, _ATTEMPTS)]

    async def events(self, job_id: UUID) -> Sequence[Event]:
        return [mapping.event(row) for row in await self._of(job_id, EVENTS)]

    async def surroundings(self, job: Job) -> Surroundings:
        return await surrounding.look(self._database, job)

    async def prune(self, finished_before: datetime, limit: int) -> Sequence[UUID]:
        rows = await self._database.rows(_PRUNE, {"before": finished_before, "limit": limit})
        return [row.id for row in rows]

    async def _get(self, job_ids: Sequence[UUID]) -> Sequence[Job | Exception]:
        rows = await self._database.at_once(_GET, {"ids": mapping.array(set(job_ids))})
        found = {row.id: mapping.job(row) for row in rows}
        return [found.get(job_id) or _not_found(job_id) for job_id in job_ids]

    async def _of(self, job_id: UUID, statement: Any) -> Sequence[Any]:
        async def work(connection: AsyncConnection) -> Sequence[Any]:
            rows = (await connection.execute(statement, {"id": job_id})).all()
            if not rows and (await connection.execute(_EXISTS, {"id": job_id})).first() is None:
                raise _not_found(job_id)
            return rows

        return await self._database.run(work)


def _not_found(job_id: UUID) -> JobNotFound:
    return JobNotFound(f"There is no job {job_id}.")
