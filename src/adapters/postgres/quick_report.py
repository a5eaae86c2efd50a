"""Ending attempts that succeeded, in one statement: the same rows as reporting.report writes.

A success needs no decision under the lock: Job.ended makes it final whatever the policy says, whoever
asked for a cancel, and whatever the chance. Its other results depend on all of these. What is written and
answered is what Job.ended says: test_quick_paths.py compares them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from adapters.postgres import mapping
from adapters.postgres.engine import Database
from application.ports.job_queue import Report
from domain.attempt import Ending, Outcome
from domain.job import Job

# (job, fence) names the row; see locking.py on what more would cost. session_id: it runs, by the CHECK.
SUCCEEDED: Final = f"""
WITH d AS MATERIALIZED (
    SELECT * FROM unnest(%(ids)s::uuid[], %(fences)s::bigint[], string_to_array(%(endings)s, E'\\n'))
        AS d(job_id, fence, ending)
), q AS (
    DELETE FROM etl.job_queue q USING d
    WHERE q.job_id = d.job_id AND q.fence = d.fence AND q.session_id IS NOT NULL
    RETURNING q.*, d.ending
), moment AS MATERIALIZED (
    SELECT clock_timestamp() AS at FROM (SELECT count(*) FROM q) after_the_locks
), tried AS (
    {mapping.END_ATTEMPT}, moment.at, CAST(q.ending AS json) FROM q, moment
), ended AS (
    INSERT INTO etl.job_end (job_id, final_state, finished_at, attempt, fence, worker, attempt_started,
        started_at, cancel_requested_at)
    SELECT q.job_id, 'succeeded', moment.at, q.attempt, q.fence, q.worker, q.attempt_started_at IS NOT NULL,
        q.started_at, q.cancel_requested_at
    FROM q, moment
), freed AS (
    UPDATE etl.limit_slot s SET job_id = NULL WHERE s.job_id = ANY (ARRAY(SELECT q.job_id FROM q))
    RETURNING s.scope
)
SELECT {mapping.SUCCEEDED_JOB}, moment.at AS finished_at, ARRAY(SELECT scope FROM freed) AS scopes
FROM q JOIN etl.job j ON j.id = q.job_id, moment
"""  # noqa: S608 - a constant


@dataclass(frozen=True, slots=True)
class Reported:
    """The jobs as they stand now, by the reports' (job, fence), and the limits that have room again."""

    jobs: dict[tuple[UUID, int], Job]
    freed: frozenset[str]


def is_quick(reports: Sequence[Report]) -> bool:
    """One report of another kind takes all to reporting.py: a call is one transaction."""
    return bool(reports) and all(r.ending.outcome is Outcome.SUCCEEDED for r in reports)


async def report(database: Database, reports: Sequence[Report]) -> Reported:
    """Those that counted now; of the others reporting.report tells whether they counted before."""
    endings = {(r.job_id, r.fence): mapping.storable(r.ending) for r in reports}
    # In the order of the ids, as everybody locks them: else two reports of the same jobs deadlock.
    ordered = sorted(endings.items(), key=lambda item: (item[0][0].int, item[0][1]))
    rows = await database.at_once(SUCCEEDED, _given(ordered))
    jobs = {(key := (row.id, row.fence)): mapping.succeeded_job(row, endings[key]) for row in rows}
    return Reported(jobs, frozenset(rows[0].scopes) if rows else frozenset())


def _given(endings: Sequence[tuple[tuple[UUID, int], Ending]]) -> dict[str, str]:
    """As texts, one a column: one JSON document of all cost PostgreSQL 4 µs a job more, since it is read once
    as a whole and once in each of its parts.
    """
    keys, documents = [key for key, _ in endings], [ending for _, ending in endings]
    return {**mapping.key_arrays(keys), "endings": mapping.document_lines(documents)}
