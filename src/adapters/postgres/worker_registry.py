"""Workers' sessions on PostgreSQL. A renewal writes one row, whatever the session holds."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres import mapping
from adapters.postgres.engine import Database
from application.ports.worker_registry import Renewal
from domain.errors import Conflict, WorkerNotFound
from domain.worker import Holding, LeaseTerms, Worker, WorkerState

_JOIN: Final = text("""
INSERT INTO etl.worker_session (id, host, pid, version, slots, queues, labels, state, started_at, seen_at,
    lease_expires_at, last_lease_expires_at)
VALUES (:id, :host, :pid, :version, :slots, CAST(:queues AS text[]), CAST(:labels AS jsonb), 'up',
    clock_timestamp(), clock_timestamp(), clock_timestamp() + make_interval(secs => :seconds),
    clock_timestamp() + make_interval(secs => :last_seconds))
ON CONFLICT DO NOTHING RETURNING id
""")

# clock_timestamp(), not now(): the wait for the row's lock must not make the lease longer in the past.
_RENEW: Final = text("""
UPDATE etl.worker_session SET seen_at = clock_timestamp(),
    lease_expires_at = clock_timestamp() + make_interval(secs => :seconds),
    last_lease_expires_at = clock_timestamp() + make_interval(secs => :last_seconds)
WHERE id = :id AND state <> 'dead' AND lease_expires_at > clock_timestamp()
RETURNING state
""")
_HOLDINGS: Final = text("""
SELECT job_id, fence, attempt >= max_attempts AS is_last, cancel_requested_at IS NOT NULL AS cancel
FROM etl.job_queue WHERE session_id = :id AND state = 'running' ORDER BY job_id
""")
_LEAVE: Final = text("UPDATE etl.worker_session SET state = 'dead' WHERE id = :id AND state <> 'dead'")
_DRAIN: Final = text("""
UPDATE etl.worker_session SET state = 'draining'
WHERE id = :id AND state <> 'dead' AND lease_expires_at > clock_timestamp() RETURNING id
""")
_READ: Final = """
SELECT w.id, w.host, w.pid, w.version, w.slots, w.queues, w.labels, w.state, w.started_at, w.seen_at,
    (SELECT count(*) FROM etl.job_queue q WHERE q.session_id = w.id AND q.state = 'running') AS running
FROM etl.worker_session w
"""
_ONE: Final = text(f"{_READ} WHERE w.id = :id")
_LIVING: Final = text(f"""
{_READ} WHERE w.state <> 'dead' AND w.lease_expires_at > clock_timestamp() ORDER BY w.started_at, w.id
""")
_FORGET: Final = text("""
DELETE FROM etl.worker_session w
WHERE w.state = 'dead' AND w.seen_at <= clock_timestamp() - make_interval(secs => :seconds) AND NOT EXISTS (
    SELECT FROM etl.job_queue q WHERE q.session_id = w.id AND q.state = 'running'
) RETURNING w.id
""")


class PostgresWorkerRegistry:
    """WorkerRegistry. Renewals have a connection of their own: an exhausted pool costs no lease."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def join(self, worker: Worker, terms: LeaseTerms) -> None:
        row = {
            "id": worker.id,
            "host": worker.host,
            "pid": worker.pid,
            "version": worker.version,
            "slots": worker.slots,
            "queues": list(worker.queues),
            "labels": mapping.document(dict(worker.labels)),
        }
        if not await self._database.rows(_JOIN, {**row, **_seconds(terms)}):
            raise Conflict(f"Session {worker.id} was used before.")

    async def renew(self, session_id: UUID, terms: LeaseTerms) -> Renewal | None:
        async def work(connection: AsyncConnection) -> Renewal | None:
            renewed = (await connection.execute(_RENEW, {"id": session_id, **_seconds(terms)})).first()
            if renewed is None:
                return None
            held = tuple(_holding(row) for row in await connection.execute(_HOLDINGS, {"id": session_id}))
            return Renewal(holdings=held, draining=renewed.state == WorkerState.DRAINING)

        return await self._database.run(work, reserved=True)

    async def leave(self, session_id: UUID) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(_LEAVE, {"id": session_id})

    async def drain(self, worker_id: UUID) -> Worker:
        async with self._database.transaction() as connection:
            if (await connection.execute(_DRAIN, {"id": worker_id})).first() is None:
                raise WorkerNotFound(f"There is no live worker {worker_id}.")
            return mapping.worker((await connection.execute(_ONE, {"id": worker_id})).one())

    async def list(self) -> Sequence[Worker]:
        return [mapping.worker(row) for row in await self._database.rows(_LIVING)]

    async def forget_dead(self, older_than_seconds: float) -> int:
        return len(await self._database.rows(_FORGET, {"seconds": older_than_seconds}))


def _seconds(terms: LeaseTerms) -> dict[str, float]:
    return {"seconds": terms.seconds, "last_seconds": terms.last_seconds}


def _holding(row: Any) -> Holding:
    return Holding(
        job_id=row.job_id, fence=row.fence, is_last_attempt=row.is_last, cancel_requested=row.cancel
    )
