"""Ending attempts that succeeded, in one statement: the same rows as reporting.report writes.

A success needs no decision under the lock: Job.ended makes it final whatever the policy says, whoever
asked for a cancel, and whatever the chance. Its other results depend on all of these.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from adapters.postgres import mapping
from adapters.postgres.engine import Database
from application.ports.job_queue import Report
from domain.attempt import Ending, Outcome
from domain.job import Job

# (job, fence) names the row; see locking.py on what more would cost. session_id: it runs, by the CHECK.
SUCCEEDED: Final = f"""
WITH d AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(ends)s::json)
        AS d(job_id uuid, fence bigint, reason json, usage json, ending json, message text)
), q AS (
    DELETE FROM etl.job_queue q USING d
    WHERE q.job_id = d.job_id AND q.fence = d.fence AND q.session_id IS NOT NULL
    RETURNING q.*, d.reason, d.usage, d.ending, d.message
), moment AS MATERIALIZED (
    SELECT clock_timestamp() AS at FROM (SELECT count(*) FROM q) after_the_locks
), tried AS (
    UPDATE etl.attempt a SET finished_at = moment.at, ending = q.ending FROM q, moment
    WHERE a.job_id = q.job_id AND a.fence = q.fence
), told AS (
    INSERT INTO etl.event (job_id, at, kind, actor, attempt, detail)
    SELECT q.job_id, moment.at, 'succeeded', 'worker ' || q.worker, q.attempt, q.message FROM q, moment
), freed AS (
    UPDATE etl.limit_slot s SET job_id = NULL WHERE s.job_id = ANY (ARRAY(SELECT q.job_id FROM q))
    RETURNING s.scope
), ended AS (
    UPDATE etl.job j SET
        final_state = 'succeeded', finished_at = moment.at, attempt = q.attempt, fence = q.fence,
        worker = q.worker, attempt_started = q.attempt_started, started_at = q.started_at,
        cancel_requested_at = q.cancel_requested_at, outcome = 'succeeded', reason = q.reason,
        usage = q.usage
    FROM q, moment WHERE j.id = q.job_id
    RETURNING {mapping.LIVE_JOB}, moment.at, ARRAY(SELECT scope FROM freed) AS scopes
)
SELECT * FROM ended
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
    ends = [_end(key, endings[key]) for key in sorted(endings)]
    rows = await database.at_once(SUCCEEDED, {"ends": mapping.document(ends)})
    jobs = {(row.id, row.fence): _ended(row, endings[row.id, row.fence]) for row in rows}
    return Reported(jobs, frozenset(rows[0].scopes) if rows else frozenset())


def _end(key: tuple[UUID, int], ending: Ending) -> dict[str, Any]:
    return {
        "job_id": key[0],
        "fence": key[1],
        "reason": ending.reason,
        "usage": ending.exit.usage,
        "ending": ending,
        "message": ending.reason.message,
    }


def _ended(row: Any, ending: Ending) -> Job:
    return mapping.job(row).ended(ending, row.at, 0.0)
