"""What stands between a queued job and a worker, each count bounded."""

from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres import limits
from domain.job import Job
from domain.waiting import Held, Surroundings

AHEAD: Final = 1000

_QUEUE: Final = text("SELECT slots, paused_by FROM etl.queue WHERE name = :queue")
_HOLDERS: Final = text("""
SELECT job_id FROM etl.limit_slot WHERE scope = :scope AND job_id IS NOT NULL ORDER BY number LIMIT :bound
""")
_WORKERS: Final = text("""
SELECT count(*) AS serving, coalesce(sum(greatest(w.slots - (
    SELECT count(*) FROM etl.job_queue q WHERE q.session_id = w.id AND q.state = 'running'
), 0)), 0) AS free
FROM etl.worker_session w
WHERE w.state = 'up' AND w.lease_expires_at > clock_timestamp()
    AND (w.queues = '{}' OR :queue = ANY (w.queues))
""")
_AHEAD: Final = text("""
SELECT count(*) AS ahead FROM (
    SELECT FROM etl.job_queue me JOIN etl.job_queue q ON q.state = 'queued' AND q.queue = me.queue
        AND q.priority >= me.priority AND q.due_at <= statement_timestamp()
        AND (q.priority > me.priority OR (q.due_at, q.job_id) < (me.due_at, me.job_id))
    WHERE me.job_id = :id LIMIT :bound
) bounded
""")


async def look(connection: AsyncConnection, job: Job) -> Surroundings:
    queue = (await connection.execute(_QUEUE, {"queue": job.spec.queue})).first()
    slots = None if queue is None else queue.slots
    workers = (await connection.execute(_WORKERS, {"queue": job.spec.queue})).one()
    ahead = (await connection.execute(_AHEAD, {"id": job.id, "bound": AHEAD + 1})).scalar_one()
    return Surroundings(
        paused_by=None if queue is None else queue.paused_by,
        held=await _held(connection, job, slots),
        workers_serving=workers.serving,
        free_slots=int(workers.free),
        ahead=min(ahead, AHEAD),
        ahead_is_more=ahead > AHEAD,
    )


async def _held(connection: AsyncConnection, job: Job, slots: int | None) -> Held | None:
    for need in limits.needs(job, slots):
        given: dict[str, Any] = {"scope": need.scope, "bound": need.ceiling + AHEAD}
        holders = tuple(row.job_id for row in await connection.execute(_HOLDERS, given))
        if len(holders) >= need.ceiling:
            name = need.scope.partition(":")[2]
            return Held(name=name, limit=need.ceiling, holders=holders)
    return None
