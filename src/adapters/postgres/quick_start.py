"""Recording starts in one statement: the same rows as reporting.start writes."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from adapters.postgres import mapping
from adapters.postgres.engine import Database
from application.ports.job_queue import Claim

# What Job.started decides: never after a cancel was asked for, and the first start is kept. A row that
# runs has a session, by the table's CHECK; said so, it tempts the planner to no other index than the key.
START: Final = """
WITH moment AS MATERIALIZED (SELECT clock_timestamp() AS at)
UPDATE etl.job_queue q SET attempt_started_at = moment.at, started_at = coalesce(q.started_at, moment.at)
FROM unnest(%(ids)s::uuid[], %(fences)s::bigint[]) AS d(job_id, fence), moment
WHERE q.job_id = d.job_id AND q.fence = d.fence AND q.session_id IS NOT NULL
    AND q.cancel_requested_at IS NULL AND q.attempt_started_at IS NULL
RETURNING q.job_id, q.fence
"""


async def start(database: Database, claims: Sequence[Claim]) -> set[tuple[UUID, int]]:
    """Those that started now; a start asked again and a refused one are for reporting.start to tell."""
    keys = sorted({(claim.job_id, claim.fence) for claim in claims})
    if not keys:
        return set()
    return {(row.job_id, row.fence) for row in await database.at_once(START, mapping.key_arrays(keys))}
