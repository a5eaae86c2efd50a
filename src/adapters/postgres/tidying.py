"""What nobody asks for any more: idempotency keys of yesterday, units of keys that no live job names."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

KEEP_HOURS: Final = 24
"""For so long the same Idempotency-Key returns the first request's jobs."""

BATCH: Final = 500

_FORGET_KEYS: Final = text("""
DELETE FROM etl.idempotency WHERE (owner, key) IN (
    SELECT owner, key FROM etl.idempotency
    WHERE created_at < statement_timestamp() - make_interval(hours => :hours)
    ORDER BY created_at LIMIT :limit FOR UPDATE SKIP LOCKED
)
""")

# A look at some scopes a call, one after another: there may be as many as there were customers.
_SCOPES: Final = text("""
SELECT s.scope FROM etl.limit_slot s
WHERE s.number = 1 AND s.scope > :after AND starts_with(s.scope, 'key:') ORDER BY s.scope LIMIT :limit
""")
_EXCLUDE: Final = text("""
SELECT scope FROM unnest(CAST(:scopes AS text[])) AS scope
WHERE pg_try_advisory_xact_lock(hashtextextended(scope, 0))
""")
# A submit that names the key shares its lock until it has committed, so its job is seen here.
_DROP: Final = text("""
DELETE FROM etl.limit_slot s WHERE s.scope = ANY (CAST(:scopes AS text[]))
    AND NOT EXISTS (SELECT FROM etl.job_queue q WHERE q.limit_key = substr(s.scope, 5))
    AND NOT EXISTS (SELECT FROM etl.limit_slot o WHERE o.scope = s.scope AND o.job_id IS NOT NULL)
""")


async def forget_keys(connection: AsyncConnection) -> None:
    """At most BATCH a call."""
    await connection.execute(_FORGET_KEYS, {"hours": KEEP_HOURS, "limit": BATCH})


async def drop_unused_units(connection: AsyncConnection, after: str) -> str:
    """Looks at BATCH keys behind `after`; returns behind which to look next."""
    found = await connection.execute(_SCOPES, {"after": after, "limit": BATCH})
    scopes = [row.scope for row in found]
    if scopes:
        free = [row.scope for row in await connection.execute(_EXCLUDE, {"scopes": scopes})]
        await connection.execute(_DROP, {"scopes": free})
    return scopes[-1] if len(scopes) == BATCH else ""
