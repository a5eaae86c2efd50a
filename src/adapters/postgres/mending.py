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
from adapters.postgres.storing import add_events
from application.ports.clock import Chance
from domain.attempt import Exit, judge
from domain.event import Event, EventKind
from domain.invariant import Breach, Invariant
from domain.job import new_job
from domain.worker import LeaseTerms

_MISSING: Final = text("""
SELECT j.id, CAST(j.spec AS text) AS spec, j.submitted_at, j.submitted_by FROM etl.job j
WHERE j.id = ANY (CAST(:ids AS uuid[])) AND j.final_state IS NULL
    AND NOT EXISTS (SELECT FROM etl.job_queue q WHERE q.job_id = j.id)
ORDER BY j.id FOR UPDATE OF j
""")
# As its latest attempt stood. One without an end is taken up as running: if its worker lives it goes on,
# if not, the end of its lease decides, by the same rules as ever.
_ENQUEUE: Final = text("""
INSERT INTO etl.job_queue (job_id, queue, priority, due_at, state, attempt, max_attempts, fence, session_id,
    worker, attempt_started, started_at, submitted_at, not_before, expires_at, limit_key, limit_count)
SELECT :id, CAST(:queue AS text), :priority, greatest(CAST(:not_before AS timestamptz), clock_timestamp()),
    CASE WHEN a.open THEN 'running' ELSE 'queued' END, coalesce(a.number, 0), :max_attempts,
    coalesce(a.fence, 0), CASE WHEN a.open THEN a.session_id END, CASE WHEN a.open THEN a.worker END,
    coalesce(a.open AND a.started_at IS NOT NULL, false), a.started_at, CAST(:submitted_at AS timestamptz),
    CAST(:not_before AS timestamptz), CAST(:expires_at AS timestamptz), CAST(:limit_key AS text),
    CAST(:limit_count AS integer)
FROM (SELECT) AS one LEFT JOIN (
    SELECT number - CASE WHEN finished_at IS NOT NULL AND ending IS NULL THEN 1 ELSE 0 END AS number, fence,
        session_id, worker, started_at, finished_at IS NULL AS open
    FROM etl.attempt WHERE job_id = :id ORDER BY fence DESC LIMIT 1
) a ON true
ON CONFLICT DO NOTHING RETURNING job_id, attempt
""")
_FORGET: Final = text("""
DELETE FROM etl.job_queue q USING etl.job j
WHERE q.job_id = ANY (CAST(:ids AS uuid[])) AND j.id = q.job_id AND j.final_state IS NOT NULL
RETURNING q.job_id, j.attempt
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
SELECT job_id, attempt FROM etl.job_queue
WHERE state = 'running' AND session_id = ANY (CAST(:sessions AS uuid[])) ORDER BY job_id
""")
_END: Final = text("""
UPDATE etl.attempt a SET finished_at = clock_timestamp(), ending = CAST(:ending AS json)
WHERE a.job_id = ANY (CAST(:ids AS uuid[])) AND a.finished_at IS NULL AND NOT EXISTS (
    SELECT FROM etl.job_queue q WHERE q.job_id = a.job_id AND q.fence = a.fence AND q.state = 'running'
)
RETURNING a.job_id, a.number AS attempt
""")
_AWAKE: Final = text("""
SELECT job_id, attempt FROM etl.job_queue
WHERE job_id = ANY (CAST(:ids AS uuid[])) AND state <> 'parked' ORDER BY job_id
""")
_THERE: Final = text("""
SELECT j.id AS job_id, coalesce(q.attempt, j.attempt, 0) AS attempt
FROM etl.job j LEFT JOIN etl.job_queue q ON q.job_id = j.id
WHERE j.id = ANY (CAST(:ids AS uuid[])) ORDER BY j.id
""")
_UNITS: Final = text("SELECT count(*) FROM etl.limit_slot WHERE scope = :scope")
_NOW: Final = text("SELECT clock_timestamp() AS now")

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
        if invariant is Invariant.RESCUED_IF_DEAD:
            return await self._rescue(len(breaches))
        ids = sorted({breach.job_id for breach in breaches})
        scopes = sorted({breach.scope for breach in breaches if breach.scope is not None})
        freed: set[str] = set()
        mended = await self.database.run(lambda c: self._mend(c, invariant, ids, scopes, freed))
        await self.database.run(lambda c: parking.settle(c, freed))
        return mended

    async def note(self, job_id: UUID, attempt: int, what: str) -> None:
        """An event for what cannot be mended, only told."""

        async def work(connection: AsyncConnection) -> None:
            at = (await connection.execute(_NOW)).scalar_one()
            kind = EventKind.REPAIRED
            told = Event(job_id=job_id, at=at, kind=kind, actor=self.actor, attempt=attempt, detail=what)
            await add_events(connection, [told])

        await self.database.run(work)

    async def _rescue(self, limit: int) -> int:
        """What maintenance would have done."""
        await self.database.run(maintaining.declare_dead)
        freed: set[str] = set()
        jobs = await self.database.run(
            lambda c: maintaining.rescue(c, limit, self.chance, freed, actor=self.actor)
        )
        await self.database.run(lambda c: parking.settle(c, freed))
        return len(jobs)

    async def _mend(
        self,
        connection: AsyncConnection,
        invariant: Invariant,
        ids: Sequence[UUID],
        scopes: Sequence[str],
        freed: set[str],
    ) -> int:
        given = {"ids": list(ids)}
        match invariant:
            case Invariant.QUEUED_IF_LIVE:
                rows, what = await _enqueue(connection, ids), "Its row in the queue was made anew."
            case Invariant.FINAL_IF_GONE:
                rows = (await connection.execute(_FORGET, given)).all()
                freed |= await limits.free(connection, [row.job_id for row in rows])
                what = "Its row in the queue, left there after its end, was removed."
            case Invariant.LEASED_IF_RUNNING:
                rows, what = await self._lease(connection, ids), "Its attempt got a lease, to be lost by."
            case Invariant.ENDED_IF_OVER:
                ending = mapping.document(judge(Exit(lost=NEVER_TOLD), 0))
                rows = (await connection.execute(_END, {**given, "ending": ending})).all()
                what = "An attempt without an end was recorded as lost."
            case Invariant.COUNTED_IF_LIMITED:
                for scope in scopes:
                    await parking.count_again(connection, scope, None)
                freed |= set(scopes)
                rows = (await connection.execute(_THERE, given)).all()
                what = f"The units of {', '.join(scopes)} were counted again."
            case _:
                await _wake(connection, scopes)
                rows, what = (await connection.execute(_AWAKE, given)).all(), "It was woken."
        await self._tell(connection, rows, what)
        return len(rows)

    async def _lease(self, connection: AsyncConnection, ids: Sequence[UUID]) -> Sequence[Any]:
        seconds = {"seconds": self.terms.seconds, "last_seconds": self.terms.last_seconds}
        made = [row.id for row in await connection.execute(_LEASE, {"ids": list(ids), **seconds})]
        return (await connection.execute(_HELD, {"sessions": made})).all() if made else ()

    async def _tell(self, connection: AsyncConnection, rows: Sequence[Any], what: str) -> None:
        at = (await connection.execute(_NOW)).scalar_one()
        await add_events(
            connection,
            [
                Event(
                    job_id=row.job_id,
                    at=at,
                    kind=EventKind.REPAIRED,
                    actor=self.actor,
                    attempt=row.attempt,
                    detail=what,
                )
                for row in rows
            ],
        )


async def _enqueue(connection: AsyncConnection, ids: Sequence[UUID]) -> Sequence[Any]:
    made: list[Any] = []
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
        }
        made += await connection.execute(_ENQUEUE, given)
    return made


async def _wake(connection: AsyncConnection, scopes: Sequence[str]) -> None:
    for scope in scopes:
        if (await connection.execute(_UNITS, {"scope": scope})).scalar_one():
            await parking.settle(connection, [scope])
        else:
            await parking.unpark_all(connection, scope)
