"""Claiming unlimited jobs in one statement: the same rows as claiming.py writes."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from adapters.postgres import mapping
from adapters.postgres.engine import Database
from domain.job import Job

# See v0006 for what the function promises. It sets what Job.claimed says: test_quick_paths.py compares them.
CLAIM: Final = """
SELECT q.*, NULL AS finished_at, NULL AS outcome, NULL AS reason
FROM etl.claim_jobs(%(session_id)s, %(wanted)s) q ORDER BY q.priority DESC, q.due_at, q.id
"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """`is_all`: nothing is left for a slower claim, or nothing that is worth it."""

    jobs: tuple[Job, ...]
    is_all: bool


async def claim(database: Database, session_id: UUID, limit: int) -> Claimed:
    rows = await database.at_once(CLAIM, {"session_id": session_id, "wanted": limit})
    jobs = tuple(mapping.job(row) for row in rows if row.id is not None)
    return Claimed(jobs, is_all=len(jobs) == limit or len(jobs) == len(rows))
