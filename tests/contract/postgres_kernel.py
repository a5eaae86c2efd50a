"""PostgreSQL behind the contract suites. Its time passes by UPDATE: the database's clock is the real one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text

from adapters.postgres.access_store import PostgresAccessStore
from adapters.postgres.engine import Database
from adapters.postgres.job_history import PostgresJobHistory
from adapters.postgres.job_queue import PostgresJobQueue
from adapters.postgres.rate_limits import PostgresRateLimits
from adapters.postgres.worker_registry import PostgresWorkerRegistry
from adapters.system.clock import SystemChance
from application.ports.access_store import AccessStore
from application.ports.job_history import JobHistory
from application.ports.job_queue import JobQueue
from application.ports.rate_limits import RateLimits
from application.ports.worker_registry import WorkerRegistry

_END_HOLDERS: Final = text("""
SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND granted
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
""")
_CLEAR: Final = text("""
TRUNCATE etl.job, etl.job_queue, etl.job_end, etl.attempt, etl.event, etl.worker_session, etl.queue,
    etl.limit_slot, etl.idempotency, etl.api_key, etl.rate_limit
""")


@dataclass(slots=True)
class PostgresKernel:
    database: Database
    queue: JobQueue
    history: JobHistory
    registry: WorkerRegistry
    access: AccessStore
    rates: RateLimits

    async def pass_time(self, seconds: float) -> None:
        async with self.database.transaction() as connection:
            await connection.execute(
                text("UPDATE etl.rate_limit SET full_at = full_at - :seconds"), {"seconds": seconds}
            )

    async def expire_lease(self, session_id: UUID) -> None:
        await self._set("worker_session SET lease_expires_at = now() - interval '1 s' WHERE id", session_id)

    async def expire_last_lease(self, session_id: UUID) -> None:
        over = "lease_expires_at = now() - interval '1 s', last_lease_expires_at = now() - interval '1 s'"
        await self._set(f"worker_session SET {over} WHERE id", session_id)

    async def make_due(self, job_id: UUID) -> None:
        await self._set("job_queue SET due_at = submitted_at, not_before = submitted_at WHERE job_id", job_id)

    async def make_late(self, job_id: UUID) -> None:
        await self._set("job_queue SET expires_at = now() - interval '1 s' WHERE job_id", job_id)

    async def clear(self) -> None:
        async with self.database.transaction() as connection:
            await connection.execute(_CLEAR)

    async def _set(self, change: str, key: UUID) -> None:
        async with self.database.transaction() as connection:
            done: Any = await connection.execute(text(f"UPDATE etl.{change} = :key"), {"key": key})
        assert done.rowcount == 1, change


@asynccontextmanager
async def postgres_kernel(url: str) -> AsyncIterator[PostgresKernel]:
    database = Database(url)
    await database.open()
    try:
        yield PostgresKernel(
            database=database,
            queue=PostgresJobQueue(database, SystemChance()),
            history=PostgresJobHistory(database),
            registry=PostgresWorkerRegistry(database),
            access=PostgresAccessStore(database),
            rates=PostgresRateLimits(database),
        )
    finally:
        await database.close()


async def end_holders_of_advisory_locks(url: str) -> None:
    """The server ends the connections that hold a lock in this database, whoever they are."""
    database = Database(url)
    try:
        async with database.transaction() as connection:
            ended = await connection.execute(_END_HOLDERS)
            assert list(ended.scalars())
    finally:
        await database.close()
