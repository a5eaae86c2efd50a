"""What stands between a queued job and a worker, each count bounded."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres import limits
from adapters.postgres.engine import Database
from domain.job import Job
from domain.waiting import Held, Surroundings

AHEAD: Final = 1000

_HOLDERS: Final = text("""
SELECT job_id FROM etl.limit_slot WHERE scope = :scope AND job_id IS NOT NULL ORDER BY number LIMIT :bound
""")
# The bound is a literal (AHEAD + 1): the planner takes an unknown LIMIT for a tenth of the table.
_LOOK: Final = """
SELECT s.slots, s.paused_by, w.serving, w.free, a.ahead
FROM (
    SELECT count(*) AS serving, coalesce(sum(greatest(w.slots - (
        SELECT count(*) FROM etl.job_queue q WHERE q.session_id = w.id AND q.state = 'running'
    ), 0)), 0)::bigint AS free
    FROM etl.worker_session w
    WHERE w.state = 'up' AND w.lease_expires_at > clock_timestamp()
        AND (w.queues = '{}' OR %(queue)s = ANY (w.queues))
) w CROSS JOIN (
    SELECT count(*) AS ahead FROM (
        SELECT FROM etl.job_queue me JOIN etl.job_queue q ON q.state = 'queued' AND q.queue = me.queue
            AND q.priority >= me.priority AND q.due_at <= statement_timestamp()
            AND (q.priority > me.priority OR (q.due_at, q.job_id) < (me.due_at, me.job_id))
        WHERE me.job_id = %(id)s LIMIT 1001
    ) bounded
) a LEFT JOIN etl.queue s ON s.name = %(queue)s
"""


async def look(database: Database, job: Job) -> Surroundings:
    (found,) = await database.at_once(_LOOK, {"id": job.id, "queue": job.spec.queue})
    return Surroundings(
        paused_by=found.paused_by,
        held=await _held(database, job, found.slots),
        workers_serving=found.serving,
        free_slots=found.free,
        ahead=min(found.ahead, AHEAD),
        ahead_is_more=found.ahead > AHEAD,
    )


async def _held(database: Database, job: Job, slots: int | None) -> Held | None:
    needs = limits.needs(job, slots)
    return await database.run(lambda c: _first_held(c, needs)) if needs else None


async def _first_held(connection: AsyncConnection, needs: Sequence[limits.Need]) -> Held | None:
    for need in needs:
        given: dict[str, Any] = {"scope": need.scope, "bound": need.ceiling + AHEAD}
        holders = tuple(row.job_id for row in await connection.execute(_HOLDERS, given))
        if len(holders) >= need.ceiling:
            name = need.scope.partition(":")[2]
            return Held(name=name, limit=need.ceiling, holders=holders)
    return None
