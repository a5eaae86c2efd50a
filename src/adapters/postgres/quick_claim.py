"""Claiming unlimited jobs in one statement: the same rows as claiming.py writes."""

from dataclasses import dataclass
from typing import Final, LiteralString
from uuid import UUID

from adapters.postgres import mapping
from adapters.postgres.candidates import CANDIDATES
from adapters.postgres.engine import Database
from domain.job import Job

WINDOWS: Final = (16, 64, 512)
"""How many candidates are looked at: what four rivals may hold locked, and more. A literal in the text,
so that one kept plan fits: the planner takes an unknown LIMIT for a tenth of the table."""

# `held`: see v0002. `limited`: from the first job on that needs a unit, claiming.py has the word: jobs
# behind it must not pass it by because their claim is quicker.
# `locked`: see v0005. session_id IS NULL AND parked_on IS NULL there is state = 'queued', by the table's
# CHECKs; said so, it tempts the planner to no other index than the key.
# fence + 1 and attempt + 1 are what Job.claimed says: test_quick_paths.py compares them.
_CLAIM: Final = """
WITH RECURSIVE {candidates},
held AS MATERIALIZED (
    SELECT h.queue, h.queue_slots FROM etl.hold_queues(ARRAY(SELECT DISTINCT queue FROM found)) h
), limited AS MATERIALIZED (
    SELECT min(c.place) AS place FROM found c JOIN held h ON h.queue = c.queue
    WHERE c.is_keyed OR h.queue_slots IS NOT NULL
), locked AS MATERIALIZED (
    SELECT q.* FROM etl.lock_jobs(ARRAY(
        SELECT c.job_id FROM found c JOIN held h ON h.queue = c.queue, limited l
        WHERE c.place < coalesce(l.place, {window} + 1)
    ), %(wanted)s) q
), moment AS MATERIALIZED (
    SELECT clock_timestamp() AS at FROM (SELECT count(*) FROM locked) after_the_locks
), given AS (
    UPDATE etl.job_queue q SET state = 'running', fence = l.fence + 1, attempt = l.attempt + 1,
        session_id = %(session_id)s, worker = me.host || ':' || me.pid, claimed_at = moment.at
    FROM locked l, me, moment WHERE q.job_id = l.job_id
    RETURNING q.*
)
SELECT l.place IS NOT NULL AS is_limited,
    (SELECT count(*) FROM found) AS candidates, {job}
FROM me CROSS JOIN limited l LEFT JOIN (given q JOIN etl.job j ON j.id = q.job_id) ON true
ORDER BY q.priority DESC, q.due_at, q.job_id
"""


def _statement(window: int) -> LiteralString:
    candidates = CANDIDATES.format(session_id="%(session_id)s", window=window)
    return _CLAIM.format(candidates=candidates, window=window, job=mapping.LIVE_JOB)


STATEMENTS: Final = {window: _statement(window) for window in WINDOWS}


@dataclass(frozen=True, slots=True)
class Claimed:
    """`is_all`: nothing is left for a slower claim, or nothing that is worth it."""

    jobs: tuple[Job, ...]
    is_all: bool


async def claim(database: Database, session_id: UUID, limit: int) -> Claimed:
    window = next((w for w in WINDOWS if w >= 4 * limit + WINDOWS[0] // 2), WINDOWS[-1])
    rows = await database.at_once(STATEMENTS[window], {"session_id": session_id, "wanted": limit})
    jobs = tuple(mapping.job(row) for row in rows if row.id is not None)
    if not rows or len(jobs) == limit:
        return Claimed(jobs, is_all=True)
    # Some are enough where rivals hold the rest; a slower claim would only get into their way.
    crowded = rows[0].candidates >= window and (not jobs or limit > window)
    return Claimed(jobs, is_all=not (rows[0].is_limited or crowded))
