"""Looking for jobs, attempts and limits that contradict each other."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres.engine import Database
from adapters.postgres.maintaining import MAY_BE_RESCUED
from domain.invariant import Breach, Invariant
from domain.log import LogRef

MOST: Final = 1000
"""How many of a kind one look tells of."""

_OF_NO_SESSION: Final = "NOT EXISTS (SELECT FROM etl.worker_session w WHERE w.id = q.session_id)"
BROKEN: Final = {
    Invariant.QUEUED_IF_LIVE: """
        SELECT j.id AS job_id, NULL AS scope FROM etl.job j
        WHERE NOT EXISTS (SELECT FROM etl.job_queue q WHERE q.job_id = j.id)
            AND NOT EXISTS (SELECT FROM etl.job_end e WHERE e.job_id = j.id)
    """,
    Invariant.FINAL_IF_GONE: """
        SELECT q.job_id, NULL AS scope FROM etl.job_queue q JOIN etl.job_end e ON e.job_id = q.job_id
    """,
    Invariant.LEASED_IF_RUNNING: f"""
        SELECT q.job_id, NULL AS scope FROM etl.job_queue q WHERE q.state = 'running' AND {_OF_NO_SESSION}
    """,  # noqa: S608 - a constant
    Invariant.RESCUED_IF_DEAD: f"""
        SELECT q.job_id, NULL AS scope FROM etl.worker_session w
        JOIN etl.job_queue q ON q.session_id = w.id AND q.state = 'running'
        WHERE (w.state = 'dead' OR w.lease_expires_at <= clock_timestamp()) AND {MAY_BE_RESCUED}
    """,  # noqa: S608 - as above
    Invariant.COUNTED_IF_LIMITED: """
        SELECT s.job_id, s.scope FROM etl.limit_slot s WHERE s.job_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM etl.job_queue q WHERE q.job_id = s.job_id AND q.state = 'running'
        )
        UNION ALL
        SELECT q.job_id, 'key:' || q.limit_key FROM etl.job_queue q
        WHERE q.state = 'running' AND q.limit_key IS NOT NULL AND NOT EXISTS (
            SELECT FROM etl.limit_slot s WHERE s.job_id = q.job_id AND s.scope = 'key:' || q.limit_key
        )
    """,
    Invariant.AWAKE_IF_FREE: """
        SELECT p.job_id, p.parked_on AS scope FROM etl.job_queue p WHERE p.state = 'parked' AND (
            NOT EXISTS (SELECT FROM etl.limit_slot s WHERE s.scope = p.parked_on)
            OR EXISTS (
                SELECT FROM etl.limit_slot s
                WHERE s.scope = p.parked_on AND s.job_id IS NULL AND s.number <= p.parked_limit
            ) AND NOT EXISTS (
                SELECT FROM etl.limit_slot s
                WHERE s.scope = p.parked_on AND s.job_id IS NOT NULL AND s.number > p.parked_limit
            ) AND NOT EXISTS (
                SELECT FROM etl.job_queue o WHERE o.state = 'queued' AND o.due_at <= clock_timestamp()
                AND p.parked_on IN ('key:' || o.limit_key, 'queue:' || o.queue)
            )
        )
    """,
}
"""By invariant, the statement that finds `job_id` and `scope` of what breaks it."""

# Looks at whole tables, unlike every other statement (connecting.py).
_WHOLE_TABLES: Final = (text("SET LOCAL enable_seqscan = on"), text("SET LOCAL enable_hashjoin = on"))
_UNKNOWN: Final = text("""
SELECT i AS id FROM unnest(CAST(:ids AS uuid[])) AS i
WHERE NOT EXISTS (SELECT FROM etl.job j WHERE j.id = i)
""")


async def look(database: Database) -> Sequence[Breach]:
    """Each statement sees one moment. A lost wake-up is one of these for a few seconds: look again."""

    async def work(connection: AsyncConnection) -> list[Breach]:
        for setting in _WHOLE_TABLES:
            await connection.execute(setting)
        found: list[Breach] = []
        for invariant, statement in BROKEN.items():
            rows = await connection.execute(text(f"{statement} LIMIT {MOST}"))
            found += [Breach(invariant, row.job_id, row.scope) for row in rows]
        return found

    return await database.run(work)


# The latest ones of one host whose log was not empty, and of which the doctor has not told yet.
_LOGS: Final = text("""
SELECT a.job_id, a.fence, a.number FROM etl.attempt a
WHERE a.finished_at > clock_timestamp() - make_interval(secs => :seconds)
    AND starts_with(a.worker, :host || ':') AND CAST(a.ending->'exit'->>'log_bytes' AS bigint) > 0
    AND NOT EXISTS (
        SELECT FROM etl.event e WHERE e.job_id = a.job_id AND e.fence = a.fence AND e.kind = 'repaired'
        AND e.detail = :told
    )
ORDER BY a.job_id DESC, a.fence DESC LIMIT :limit
""")


async def logs_expected(
    database: Database, host: str, since_seconds: float, told: str
) -> Mapping[LogRef, int]:
    """The latest attempts that left a log on `host`, each with its number; not those of whose job an event
    says `told` already.
    """
    given = {"host": host, "seconds": since_seconds, "told": told, "limit": MOST}
    rows = await database.rows(_LOGS, given)
    return {LogRef(job_id=row.job_id, fence=row.fence): row.number for row in rows}


async def without_job(database: Database, job_ids: Sequence[UUID]) -> Sequence[UUID]:
    """Those of `job_ids` that there is no job of."""
    return [row.id for row in await database.rows(_UNKNOWN, {"ids": list(job_ids)})]
