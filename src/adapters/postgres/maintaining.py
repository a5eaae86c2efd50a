"""What maintenance does: ends what was lost, cancels what is late, wakes what was parked."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres import locking, mapping, parking
from adapters.postgres.engine import Database
from adapters.postgres.storing import Change, store
from application.ports.clock import Chance
from domain.attempt import Ending, Exit, judge
from domain.job import Job, JobState

ACTOR: Final = "maintenance"

# One way, and the expiry is checked again under the row's lock: a renewal and this cannot both win.
_DECLARE_DEAD: Final = text("""
UPDATE etl.worker_session SET state = 'dead'
WHERE id IN (
    SELECT id FROM etl.worker_session WHERE state <> 'dead' AND lease_expires_at <= clock_timestamp()
    FOR UPDATE SKIP LOCKED
) AND state <> 'dead' AND lease_expires_at <= clock_timestamp()
""")

MAY_BE_RESCUED: Final = """(
    q.attempt_started_at IS NULL OR q.attempt < q.max_attempts OR w.last_lease_expires_at <= clock_timestamp()
)"""
"""Whether a row `q` of the queue may be taken from its dead worker `w`: a last attempt only after its own
lease.
"""

# An inner join: a row that was adopted meanwhile no longer matches once its lock is held.
_LOST: Final = text(f"""
SELECT {mapping.LIVE_JOB}, clock_timestamp() AS now
FROM etl.worker_session w
JOIN etl.job_queue q ON q.session_id = w.id AND q.state = 'running'
JOIN etl.job j ON j.id = q.job_id
WHERE w.state = 'dead' AND {MAY_BE_RESCUED}
ORDER BY q.job_id LIMIT :limit FOR UPDATE OF q SKIP LOCKED
""")  # noqa: S608 - a constant

_LATE: Final = text(f"""
SELECT {mapping.LIVE_JOB}, clock_timestamp() AS now
FROM etl.job_queue q JOIN etl.job j ON j.id = q.job_id
WHERE q.expires_at <= statement_timestamp() AND q.state <> 'running'
ORDER BY q.expires_at LIMIT :limit FOR UPDATE OF q SKIP LOCKED
""")  # noqa: S608 - a constant


async def rescue(
    database: Database, limit: int, chance: Chance, freed: set[str], actor: str = ACTOR
) -> list[Job]:
    """In two transactions: who was declared dead stays so whatever comes of its jobs."""
    await database.run(lambda c: c.execute(_DECLARE_DEAD))
    return await database.run(lambda c: _rescue(c, limit, chance, freed, actor))


async def _rescue(
    connection: AsyncConnection, limit: int, chance: Chance, freed: set[str], actor: str
) -> list[Job]:
    rows = (await connection.execute(_LOST, {"limit": limit})).all()
    locked = locking.locked(rows, JobState.RUNNING)
    if locked is None:
        return []
    endings = {job.id: _ending(job) for job in locked.jobs}
    changes = []
    for job in locked.jobs:
        end = endings[job.id]
        after = job.put_back(locked.at) if end is None else job.ended(end, locked.at, chance.fraction())
        changes.append(Change(job, after, actor, end))
    freed |= await store(connection, changes, locked.at)
    return [change.after for change in changes]


async def expire(connection: AsyncConnection, limit: int) -> list[Job]:
    rows = (await connection.execute(_LATE, {"limit": limit})).all()
    locked = locking.locked(rows)
    if locked is None:
        return []
    changes = [Change(job, job.expired(locked.at), ACTOR) for job in locked.jobs]
    await store(connection, changes, locked.at)
    return [change.after for change in changes]


async def promote(connection: AsyncConnection) -> int:
    return await parking.settle(connection, await parking.parked_scopes(connection))


def _ending(job: Job) -> Ending | None:
    """None for an attempt that provably never started: it is given back and does not count."""
    if job.is_put_back_if_lost:
        return None
    return judge(Exit(lost=job.why_lost()), job.spec.timeout_seconds or 0)
