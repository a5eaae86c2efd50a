"""Jobs that wait for a unit of a limit: waking them, and counting a limit again."""

from collections.abc import Iterable
from typing import Any, Final, cast

from sqlalchemy import CursorResult, text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres import limits

_UNPARK: Final = text("""
WITH room AS (
    SELECT scope, count(*) FILTER (WHERE job_id IS NULL) AS units, greatest(
            min(number) FILTER (WHERE job_id IS NULL), max(number) FILTER (WHERE job_id IS NOT NULL)
        ) AS least
    FROM etl.limit_slot WHERE scope = ANY (CAST(:scopes AS text[])) GROUP BY scope
), chosen AS (
    SELECT p.job_id FROM room CROSS JOIN LATERAL (
        SELECT p.job_id FROM etl.job_queue p
        WHERE p.state = 'parked' AND p.parked_on = room.scope AND p.parked_limit >= room.least
        ORDER BY p.priority DESC, p.due_at, p.job_id LIMIT room.units FOR UPDATE OF p SKIP LOCKED
    ) p WHERE room.units > 0
)
UPDATE etl.job_queue q SET state = 'queued', parked_on = NULL, parked_limit = NULL
FROM chosen WHERE q.job_id = chosen.job_id
""")
_UNPARK_ALL: Final = text("""
UPDATE etl.job_queue SET state = 'queued', parked_on = NULL, parked_limit = NULL
WHERE state = 'parked' AND parked_on = :scope
""")

# Scopes whose parked jobs wait although fewer run than they allow: units above the ceiling are held.
_CROWDED: Final = text("""
SELECT s.scope FROM unnest(CAST(:scopes AS text[])) AS s(scope)
WHERE EXISTS (
    SELECT FROM etl.job_queue p WHERE p.state = 'parked' AND p.parked_on = s.scope
    AND p.parked_limit > (SELECT count(t.job_id) FROM etl.limit_slot t WHERE t.scope = s.scope)
    AND p.parked_limit < (
        SELECT max(t.number) FROM etl.limit_slot t WHERE t.scope = s.scope AND t.job_id IS NOT NULL
    )
)
""")
_PARKED_SCOPES: Final = text("""
WITH RECURSIVE k AS (
    (SELECT parked_on FROM etl.job_queue WHERE state = 'parked' ORDER BY parked_on LIMIT 1)
    UNION ALL
    SELECT n.parked_on FROM k CROSS JOIN LATERAL (
        SELECT q.parked_on FROM etl.job_queue q WHERE q.state = 'parked' AND q.parked_on > k.parked_on
        ORDER BY q.parked_on LIMIT 1
    ) n
)
SELECT parked_on FROM k
""")

# Holders are locked as rows of the queue first: a report holds its job's row before it frees a unit.
_HOLDERS: Final = text("""
SELECT job_id FROM etl.job_queue
WHERE state = 'running' AND CASE WHEN :by_key THEN limit_key ELSE queue END = :name
ORDER BY job_id FOR UPDATE
""")
_UNITS: Final = text("SELECT count(*) FROM etl.limit_slot WHERE scope = :scope")
_DROP: Final = text("DELETE FROM etl.limit_slot WHERE scope = :scope")
_COUNT_AGAIN: Final = text("""
INSERT INTO etl.limit_slot (scope, number, job_id)
SELECT :scope, n, h.job_id
FROM generate_series(1, greatest(CAST(:units AS int), cardinality(CAST(:holders AS uuid[])))) AS n
LEFT JOIN unnest(CAST(:holders AS uuid[])) WITH ORDINALITY AS h(job_id, number) ON h.number = n
""")


async def unpark(connection: AsyncConnection, scopes: Iterable[str]) -> int:
    """Wakes as many jobs as there are free units; they compete in the next claim."""
    names = sorted(set(scopes))
    if not names:
        return 0
    return _count(await connection.execute(_UNPARK, {"scopes": names}))


async def unpark_all(connection: AsyncConnection, scope: str) -> int:
    return _count(await connection.execute(_UNPARK_ALL, {"scope": scope}))


async def parked_scopes(connection: AsyncConnection) -> list[str]:
    """Every limit that a job waits for, found in one probe of the index each."""
    return [row.parked_on for row in await connection.execute(_PARKED_SCOPES)]


async def settle(connection: AsyncConnection, scopes: Iterable[str]) -> int:
    """Wakes what was parked a moment too late to be woken by the report that freed its unit."""
    names = sorted(set(scopes))
    if not names:
        return 0
    crowded = [row.scope for row in await connection.execute(_CROWDED, {"scopes": names})]
    for scope in crowded:
        await count_again(connection, scope, None)
    return await unpark(connection, names)


async def units_of(connection: AsyncConnection, scope: str) -> int:
    return int((await connection.execute(_UNITS, {"scope": scope})).scalar_one())


async def count_again(connection: AsyncConnection, scope: str, units: int | None) -> None:
    """Numbers the units of `scope` anew, those that run now first; None keeps how many there are.

    What runs beyond the limit keeps a unit above it. Excludes claims of this scope until the commit.
    """
    kind, _, name = scope.partition(":")
    await limits.exclude(connection, scope)
    holders = await connection.execute(_HOLDERS, {"by_key": kind == "key", "name": name})
    held = [row.job_id for row in holders]
    if units is None:
        units = await units_of(connection, scope)
    await connection.execute(_DROP, {"scope": scope})
    await connection.execute(_COUNT_AGAIN, {"scope": scope, "units": units, "holders": held})


def _count(result: Any) -> int:
    return cast("CursorResult[Any]", result).rowcount
