"""Limits of queues and keys, exact under any number of claims at once.

A limit is a row a unit. A claim takes free rows with SKIP LOCKED, so no two claims count the same
room and none waits for another; a job that finds none is parked out of the index that claims read,
and costs nothing until a unit is freed. (Counting the running jobs in the claim let 8 run with a
limit of 4; a counter row was exact at a twentieth of the rate.)
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres.mapping import columns
from domain.job import Job

MAX_UNITS: Final = 10_000
"""A limit above this is none that a person set on purpose; it is held to this many."""

# Recounting a scope excludes claims of it: they share this lock, and it costs no write.
_EXCLUDE: Final = text("SELECT pg_advisory_xact_lock(hashtextextended(:scope, 0))")
_TRY_SHARE: Final = text("""
SELECT scope FROM unnest(CAST(:scopes AS text[])) AS scope
WHERE pg_try_advisory_xact_lock_shared(hashtextextended(scope, 0))
""")
_SHARE: Final = text("""
SELECT pg_advisory_xact_lock_shared(hashtextextended(scope, 0))
FROM (SELECT unnest(CAST(:scopes AS text[])) AS scope ORDER BY scope) s
""")

_ENSURE: Final = text("""
INSERT INTO etl.limit_slot (scope, number)
SELECT w.scope, n FROM unnest(CAST(:scopes AS text[]), CAST(:units AS int[])) AS w(scope, units),
    generate_series(1, w.units) AS n
ORDER BY 1, 2 ON CONFLICT DO NOTHING
""")

# A unit above the ceiling that is held means that a larger limit was in force: then there is no room,
# whatever is free below, until it is given back or the scope is counted again.
_FIND: Final = text("""
SELECT w.scope, w.ceiling, s.number
FROM unnest(CAST(:scopes AS text[]), CAST(:ceilings AS int[]), CAST(:wanted AS int[]))
    AS w(scope, ceiling, wanted)
CROSS JOIN LATERAL (
    SELECT t.number FROM etl.limit_slot t
    WHERE t.scope = w.scope AND t.number <= w.ceiling AND t.job_id IS NULL AND NOT EXISTS (
        SELECT FROM etl.limit_slot o WHERE o.scope = w.scope AND o.number > w.ceiling AND o.job_id IS NOT NULL
    )
    ORDER BY t.number LIMIT w.wanted FOR UPDATE OF t SKIP LOCKED
) s
""")
_TAKE: Final = text("""
UPDATE etl.limit_slot t SET job_id = d.job_id
FROM unnest(CAST(:scopes AS text[]), CAST(:numbers AS int[]), CAST(:ids AS uuid[]))
    AS d(scope, number, job_id)
WHERE t.scope = d.scope AND t.number = d.number
""")
_PARK: Final = text("""
UPDATE etl.job_queue q SET state = 'parked', parked_on = d.scope, parked_limit = d.ceiling
FROM unnest(CAST(:ids AS uuid[]), CAST(:scopes AS text[]), CAST(:ceilings AS int[]))
    AS d(job_id, scope, ceiling)
WHERE q.job_id = d.job_id
""")
_PARK_REST: Final = text("""
WITH chosen AS MATERIALIZED (
    SELECT q.job_id, f.scope,
        CASE WHEN f.scope = 'queue:' || q.queue THEN f.ceiling ELSE q.limit_count END AS ceiling
    FROM etl.job_queue q JOIN unnest(CAST(:scopes AS text[]), CAST(:ceilings AS int[])) AS f(scope, ceiling)
        ON f.scope = 'queue:' || q.queue OR (f.scope = 'key:' || q.limit_key AND q.limit_count <= f.ceiling)
    WHERE q.job_id = ANY (CAST(:ids AS uuid[])) AND q.session_id IS NULL AND q.parked_on IS NULL
    FOR UPDATE OF q SKIP LOCKED
)
UPDATE etl.job_queue q SET state = 'parked', parked_on = c.scope, parked_limit = c.ceiling
FROM chosen c WHERE q.job_id = c.job_id
""")
_FREE: Final = text("""
UPDATE etl.limit_slot SET job_id = NULL WHERE job_id = ANY (CAST(:ids AS uuid[])) RETURNING scope
""")


def queue_scope(name: str) -> str:
    return f"queue:{name}"


def key_scope(key: str) -> str:
    return f"key:{key}"


@dataclass(frozen=True, slots=True)
class Need:
    """A unit that a job must hold while it runs: any of scope's with a number up to `ceiling`."""

    scope: str
    ceiling: int


def needs(job: Job, slots: int | None) -> tuple[Need, ...]:
    """What `job` must hold, given the slots of its queue. An unlimited job costs no unit at all."""
    found = () if slots is None else (Need(queue_scope(job.spec.queue), slots),)
    key = job.spec.concurrency
    return found if key is None else (*found, Need(key_scope(key.key), key.limit))


async def exclude(connection: AsyncConnection, scope: str) -> None:
    """No claim of this scope is in flight from here to the commit."""
    await connection.execute(_EXCLUDE, {"scope": scope})


async def ensure(connection: AsyncConnection, jobs: Iterable[Job]) -> None:
    """Makes the units of every key that `jobs` name."""
    units: dict[str, int] = {}
    for key in (job.spec.concurrency for job in jobs):
        if key is not None:
            units[key_scope(key.key)] = max(units.get(key_scope(key.key), 0), min(key.limit, MAX_UNITS))
    if units:
        await connection.execute(_SHARE, {"scopes": list(units)})
        await connection.execute(_ENSURE, {"scopes": list(units), "units": list(units.values())})


async def take(
    connection: AsyncConnection, wanted: Sequence[tuple[Job, tuple[Need, ...]]]
) -> tuple[list[Job], dict[str, int]]:
    """Those of the locked jobs that got all they need, in order; the others are parked, on the
    scopes that are returned too, each with the greatest limit that it is full for.
    """
    free = await _find(connection, [need for _, all_ in wanted for need in all_])
    admitted: list[Job] = []
    taken: list[tuple[str, int, UUID]] = []
    parked: list[tuple[UUID, str, int]] = []
    for job, all_ in wanted:
        units = [(need, min(free.get(need, set()), default=None)) for need in all_]
        short = next((need for need, number in units if number is None), None)
        if short is not None:
            parked.append((job.id, short.scope, short.ceiling))
            continue
        admitted.append(job)
        for need, number in units:
            assert number is not None  # noqa: S101 - tells mypy what `short` has just shown
            taken.append((need.scope, number, job.id))
            _withdraw(free, need.scope, number)
    if taken:
        await connection.execute(_TAKE, columns(taken, ("scopes", "numbers", "ids")))
    if parked:
        await connection.execute(_PARK, columns(parked, ("ids", "scopes", "ceilings")))
    full: dict[str, int] = {}
    for _, scope, ceiling in parked:
        full[scope] = max(ceiling, full.get(scope, 0))
    return admitted, full


async def park_rest(connection: AsyncConnection, ids: Sequence[UUID], full: dict[str, int]) -> None:
    """Parks all of these jobs that wait for a limit which is full for them too: of 100,000 behind one
    key a claim would else see one after another.
    """
    if full:
        given = {"scopes": list(full), "ceilings": list(full.values())}
        await connection.execute(_PARK_REST, {**given, "ids": list(ids)})


async def _find(connection: AsyncConnection, all_: Sequence[Need]) -> dict[Need, set[int]]:
    if not all_:
        return {}
    # As many for each ceiling as all jobs of the scope want: what one of them takes, the others cannot.
    wanted = Counter(need.scope for need in all_)
    rows = [(need.scope, need.ceiling, wanted[need.scope]) for need in set(all_)]
    found: dict[Need, set[int]] = {}
    for row in await connection.execute(_FIND, columns(rows, ("scopes", "ceilings", "wanted"))):
        found.setdefault(Need(row.scope, row.ceiling), set()).add(row.number)
    return found


def _withdraw(free: dict[Need, set[int]], scope: str, number: int) -> None:
    for need, numbers in free.items():
        if need.scope == scope:
            numbers.discard(number)


async def shared(connection: AsyncConnection, scopes: Iterable[str]) -> set[str]:
    """Those of `scopes` that nobody counts again at this moment; nobody will before this commits."""
    rows = await connection.execute(_TRY_SHARE, {"scopes": sorted(set(scopes))})
    return {row.scope for row in rows}


async def free(connection: AsyncConnection, job_ids: Sequence[UUID]) -> set[str]:
    """Gives back what these jobs held; returns the scopes, to be settled once this has committed."""
    if not job_ids:
        return set()
    return {row.scope for row in await connection.execute(_FREE, {"ids": list(job_ids)})}
