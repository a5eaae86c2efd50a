"""Buckets on PostgreSQL: one row a subject, in a table without a write-ahead log."""

from typing import Final

from sqlalchemy import text

from adapters.postgres.engine import Database
from domain.rate import EXACT, Rate, Taken

BATCH: Final = 5000

# domain/rate.py in SQL. The instant is that of the statement: one that waited for the row counts itself
# a little earlier than it was, and so is granted rather less than more.
_TAKE: Final = """
INSERT INTO etl.rate_limit AS b (subject, full_at, granted)
SELECT %(subject)s::text, n.now + least(%(wanted)s::bigint, %(quota)s::bigint) * %(interval)s::float8,
    least(%(wanted)s::bigint, %(quota)s::bigint)
FROM (SELECT extract(epoch FROM statement_timestamp())::float8 AS now) n
ON CONFLICT (subject) DO UPDATE SET (full_at, granted) = (
    SELECT greatest(b.full_at, n.now) + t.granted * %(interval)s::float8, t.granted
    FROM (SELECT extract(epoch FROM statement_timestamp())::float8 AS now) n,
        LATERAL (SELECT greatest(0, least(%(wanted)s::bigint, floor(
            (n.now + %(seconds)s::float8 - greatest(b.full_at, n.now)) / %(interval)s::float8
            + %(exact)s::float8
        )::bigint)) AS granted) t
)
RETURNING granted, full_at - extract(epoch FROM statement_timestamp())::float8 AS full_in
"""
_FORGET: Final = text("""
DELETE FROM etl.rate_limit WHERE subject IN (
    SELECT subject FROM etl.rate_limit
    WHERE full_at <= extract(epoch FROM statement_timestamp())
    ORDER BY full_at LIMIT :limit FOR UPDATE SKIP LOCKED
) AND full_at <= extract(epoch FROM statement_timestamp()) RETURNING 1
""")


class PostgresRateLimits:
    """RateLimits."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, subject: str, rate: Rate, wanted: int) -> Taken:
        given = {
            "subject": subject,
            "wanted": wanted,
            "quota": rate.quota,
            "seconds": rate.seconds,
            "interval": rate.interval,
            "exact": EXACT,
        }
        (row,) = await self._database.at_once(_TAKE, given)
        return Taken.of(rate, row.granted, row.full_in)

    async def forget(self) -> int:
        return len(await self._database.rows(_FORGET, {"limit": BATCH}))
