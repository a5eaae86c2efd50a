"""Mending what breaks an invariant: under the product's own locks, and told in the events of the jobs.

Each statement asks again whether it is still broken, so two who mend at once, or a worker that heals it by
itself, do no harm.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres import limits, maintaining, mapping, parking
from adapters.postgres.engine import Database
from application.ports.clock import Chance
from domain.attempt import Exit, judge
from domain.invariant import Breach, Invariant
from domain.job import new_job
from domain.log import LogRef
from domain.worker import LeaseTerms

_MISSING: Final = text("""
SELECT j.id, CAST(j.spec AS text) AS spec, j.submitted_at, j.submitted_by FROM etl.job j
WHERE j.id = ANY (CAST(:ids AS uuid[])) AND NOT EXISTS (SELECT FROM etl.job_queue q WHERE q.job_id = j.id)
    AND NOT EXISTS (SELECT FROM etl.job_end e WHERE e.job_id = j.id)
ORDER BY j.id FOR UPDATE OF j
""")
# With the row went the word of whether somebody runs it. So it waits as long as anybody could, and that
# claim, of which no record is left, had the fence behind the last one known: a report under it is refused.
_ENQUEUE: Final = text("""
INSERT INTO etl.job_queue (job_id, queue, priority, due_at, state, attempt, max_attempts, fence,
    submitted_at, not_before, expires_at, limit_key, limit_count)
SELECT :id, CAST(:queue AS text), :priority, w.until, 'queued', coalesce(a.number, 0), :max_attempts,
    coalesce(a.fence, 0) + 1, CAST(:submitted_at AS timestamptz), w.until,
    CAST(:expires_at AS timestamptz), CAST(:limit_key AS text), CAST(:limit_count AS integer)
FROM (
    SELECT greatest(CAST(:not_before AS timestamptz),
        clock_timestamp() + make_interval(secs => :last_seconds)) AS until
) w LEFT JOIN (
    SELECT number - CASE WHEN ending IS NULL THEN 1 ELSE 0 END AS number, fence
    FROM etl.attempt WHERE job_id = :id ORDER BY fence DESC LIMIT 1
) a ON true
ON CONFLICT DO NOTHING RETURNING job_id
""")
_END: Final = text(f"""
{mapping.END_ATTEMPT}, clock_timestamp(), CAST(:ending AS json)
FROM etl.job_queue q JOIN etl.job_end e ON e.job_id = q.job_id
WHERE q.job_id = ANY (CAST(:ids AS uuid[])) AND q.state = 'running'
ON CONFLICT DO NOTHING
""")
_FORGET: Final = text("""
DELETE FROM etl.job_queue q USING etl.job_end e
WHERE q.job_id = ANY (CAST(:ids AS uuid[])) AND e.job_id = q.job_id RETURNING q.job_id
""")
# As long as the worker may think that it has one: nobody else may start the job before that is over.
_LEASE: Final = text("""
INSERT INTO etl.worker_session (id, host, pid, version, slots, queues, labels, state, started_at, seen_at,
    lease_expires_at, last_lease_expires_at)
SELECT DISTINCT ON (q.session_id) q.session_id, coalesce(substring(q.worker FROM '^(.*):'), q.worker),
    coalesce(CAST(substring(q.worker FROM ':([0-9]{1,9})$') AS integer), 0), 'unknown', 1,
    CAST('{}' AS text[]), CAST('{}' AS jsonb), 'draining', clock_timestamp(), clock_timestamp(),
    clock_timestamp() + make_interval(secs => :seconds),
    clock_timestamp() + make_interval(secs => :last_seconds)
FROM etl.job_queue q WHERE q.job_id = ANY (CAST(:ids AS uuid[])) AND q.state = 'running'
ON CONFLICT DO NOTHING RETURNING id
""")
_HELD: Final = text("""
SELECT job_id FROM etl.job_queue
WHERE state = 'running' AND session_id = ANY (CAST(:sessions AS uuid[])) ORDER BY job_id
""")
_AWAKE: Final = text("""
SELECT job_id FROM etl.job_queue
WHERE job_id = ANY (CAST(:ids AS uuid[])) AND state <> 'parked' ORDER BY job_id
""")
_TELL: Final = text(f"""
INSERT INTO etl.event (job_id, at, kind, actor, attempt, fence, detail)
SELECT j.id, clock_timestamp(), 'repaired', :actor, coalesce(q.attempt, e.attempt),
    coalesce(q.fence, e.fence), :what
FROM {mapping.ALL_JOBS}
WHERE j.id = ANY (CAST(:ids AS uuid[])) AND (q.job_id IS NOT NULL OR e.job_id IS NOT NULL)
RETURNING job_id
""")  # noqa: S608 - a constant
_NOTE: Final = text("""
INSERT INTO etl.event (job_id, at, kind, actor, attempt, fence, detail)
VALUES (:job_id, clock_timestamp(), 'repaired', :actor, :attempt, :fence, :what)
""")
NEVER_TOLD: Final = "Its end was never recorded."


@dataclass(frozen=True, slots=True)
class Mending:
    """`terms` are those of the installation's workers; `actor` is whom the events name."""

    database: Database
    chance: Chance
    terms: LeaseTerms
    actor: str

    async def __call__(self, invariant: Invariant, breaches: Sequence[Breach]) -> int:
        """How many jobs were mended; the others no longer needed it."""
        ids = sorted({breach.job_id for breach in breaches})
        scopes = sorted({breach.scope for breach in breaches if breach.scope is not None})
        freed: set[str] = set()
        if invariant is Invariant.RESCUED_IF_DEAD:
            most = len(breaches)
            mended = len(await maintaining.rescue(self.database, most, self.chance, freed, self.actor))
        else:
            mended = await self.database.run(lambda c: self._mend(c, invariant, ids, scopes, freed))
        await self.database.run(lambda c: parking.settle(c, freed))
        return mended

    async def note(self, ref: LogRef, attempt: int, what: str) -> None:
        """An event for what cannot be mended, only told."""
        event = {"job_id": ref.job_id, "fence": ref.fence, "attempt": attempt, "what": what}
        async with self.database.transaction() as connection:
            await connection.execute(_NOTE, {**event, "actor": self.actor})

    async def _mend(
        self,
        connection: AsyncConnection,
        invariant: Invariant,
        ids: Sequence[UUID],
        scopes: Sequence[str],
        freed: set[str],
    ) -> int:
        mended: Sequence[UUID]
        match invariant:
            case Invariant.QUEUED_IF_LIVE:
                mended = await _enqueue(connection, ids, self.terms.last_seconds)
                what = "Its row in the queue was made anew; it waits until nobody can run it any more."
            case Invariant.FINAL_IF_GONE:
                mended, what = await _forget(connection, ids), "Its row in the queue was removed."
                freed |= await limits.free(connection, mended)
            case Invariant.LEASED_IF_RUNNING:
                mended, what = await self._lease(connection, ids), "Its attempt got a lease, to be lost by."
            case Invariant.COUNTED_IF_LIMITED:
                for scope in scopes:
                    await parking.count_again(connection, scope, None)
                freed |= set(scopes)
                mended, what = ids, f"The units of {', '.join(scopes)} were counted again."
            case _:
                await _wake(connection, scopes)
                mended = await _ids(connection, _AWAKE, ids=list(ids))
                what = "It was woken."
        await _ids(connection, _TELL, ids=list(mended), actor=self.actor, what=what)
        return len(mended)

    async def _lease(self, connection: AsyncConnection, ids: Sequence[UUID]) -> Sequence[UUID]:
        seconds = {"seconds": self.terms.seconds, "last_seconds": self.terms.last_seconds}
        made = [row.id for row in await connection.execute(_LEASE, {"ids": list(ids), **seconds})]
        return await _ids(connection, _HELD, sessions=made)


async def _ids(connection: AsyncConnection, statement: Any, **values: object) -> list[UUID]:
    return [row.job_id for row in await connection.execute(statement, values)]


async def _forget(connection: AsyncConnection, ids: Sequence[UUID]) -> list[UUID]:
    ending = mapping.document(judge(Exit(lost=NEVER_TOLD), 0))
    await connection.execute(_END, {"ids": list(ids), "ending": ending})
    return await _ids(connection, _FORGET, ids=list(ids))


async def _enqueue(connection: AsyncConnection, ids: Sequence[UUID], last_seconds: float) -> list[UUID]:
    made: list[UUID] = []
    for row in (await connection.execute(_MISSING, {"ids": list(ids)})).all():
        job = new_job(row.id, mapping.spec(row.spec), row.submitted_at, row.submitted_by)
        await limits.ensure(connection, [job])
        key = job.spec.concurrency
        given = {
            "id": job.id,
            "queue": job.spec.queue,
            "priority": job.spec.priority,
            "max_attempts": job.spec.retry.max_attempts,
            "submitted_at": job.submitted_at,
            "not_before": job.not_before,
            "expires_at": job.spec.expires_at,
            "limit_key": key.key if key else None,
            "limit_count": key.limit if key else None,
            "last_seconds": last_seconds,
        }
        made += await _ids(connection, _ENQUEUE, **given)
    return made


async def _wake(connection: AsyncConnection, scopes: Sequence[str]) -> None:
    for scope in scopes:
        if await parking.units_of(connection, scope):
            await parking.settle(connection, [scope])
        else:
            await parking.unpark_all(connection, scope)
