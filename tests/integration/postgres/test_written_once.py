"""A database of migration 0002 comes to 0004 with all that it knew of jobs, attempts and events."""

from datetime import timedelta
from uuid import UUID

import psycopg

from adapters.postgres.engine import Database
from adapters.postgres.job_history import PostgresJobHistory
from adapters.postgres.migrate import migrate
from domain.job import JobState
from tests.builders import NOON

DONE, RUNS, WAITS, DROPPED = (UUID(int=number) for number in range(1, 5))
SESSION = UUID(int=99)
SPEC = '{"command": {"script": "a.py"}, "retry": {"max_attempts": 3}}'
ENDING = (
    '{"outcome": "%s", "reason": {"code": "c", "message": "It ended."}, '
    '"exit": {"exit_code": 1, "usage": {"wall_seconds": 1.5, "cpu_seconds": 1, "max_rss_bytes": 5}}}'
)
NEW = """
INSERT INTO etl.job (id, spec, queue, labels, submitted_at, submitted_by)
SELECT unnest(%(ids)s::uuid[]), %(spec)s, 'default', '{}', %(noon)s, 'ann';
INSERT INTO etl.event (job_id, at, kind, actor, attempt) SELECT id, submitted_at, 'submitted', 'ann', 0
FROM etl.job;
"""
LIVE = """
INSERT INTO etl.job_queue (job_id, queue, priority, due_at, state, attempt, max_attempts, fence, session_id,
    worker, attempt_started, started_at, submitted_at)
VALUES (%(id)s, 'default', 0, %(noon)s, %(state)s, %(attempt)s, 3, %(fence)s, %(session)s, %(worker)s,
    %(started)s, %(noon)s, %(noon)s)
"""
ATTEMPT = """
INSERT INTO etl.attempt VALUES (%(id)s, %(fence)s, %(attempt)s, %(by)s, 'h:1', %(noon)s + %(since)s,
    %(noon)s + %(since)s * 2, %(end)s, %(ending)s);
INSERT INTO etl.event (job_id, at, kind, actor, attempt) VALUES
    (%(id)s, %(noon)s + %(since)s, 'claimed', 'worker h:1', %(attempt)s),
    (%(id)s, %(noon)s + %(since)s * 2, 'started', 'worker h:1', %(attempt)s)
"""
ENDED = """
UPDATE etl.job SET final_state = %(state)s, finished_at = %(noon)s + interval '1 hour', attempt = %(attempt)s,
    fence = %(fence)s, worker = %(worker)s, attempt_started = %(started)s, started_at = %(noon)s,
    outcome = %(outcome)s, reason = '{"code": "c", "message": "It ended."}',
    usage = '{"wall_seconds": 1.5, "cpu_seconds": 1, "max_rss_bytes": 5}'
WHERE id = %(id)s
"""
EVENT = "INSERT INTO etl.event (job_id, at, kind, actor, attempt) VALUES (%s, %s, %s, %s, %s)"


def fill(url: str) -> None:
    """One job of each kind: succeeded, running its second attempt, waiting for it, cancelled unclaimed."""
    once = {"noon": NOON, "spec": SPEC, "since": timedelta(minutes=1), "worker": None, "session": None}
    late = {**once, "since": timedelta(minutes=10)}
    end = NOON + timedelta(minutes=5)
    lost = {"by": SESSION, "attempt": 1, "fence": 1, "end": end, "ending": ENDING % "lost"}
    open_ = {"by": SESSION, "attempt": 2, "fence": 2, "end": None, "ending": None}
    done = {**lost, "ending": ENDING % "succeeded"}
    with psycopg.connect(url, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute(NEW, {**once, "ids": [DONE, RUNS, WAITS, DROPPED]})
        for job_id in (RUNS, WAITS):
            connection.execute(ATTEMPT, {**once, **lost, "id": job_id})
            connection.execute(EVENT, (job_id, end, "retry_planned", "maintenance", 1))
        connection.execute(ATTEMPT, {**late, **open_, "id": RUNS})
        connection.execute(ATTEMPT, {**once, **done, "id": DONE})
        connection.execute(EVENT, (DONE, end, "succeeded", "worker h:1", 1))
        connection.execute(EVENT, (DROPPED, end, "cancelled", "bob", 0))
        ran = {"id": RUNS, "state": "running", "attempt": 2, "fence": 2, "started": True}
        connection.execute(LIVE, {**once, **ran, "session": SESSION, "worker": "h:1"})
        waits = {"id": WAITS, "state": "queued", "attempt": 1, "fence": 1, "started": False}
        connection.execute(LIVE, {**once, **waits})
        won = {"id": DONE, "state": "succeeded", "outcome": "succeeded", "attempt": 1, "fence": 1}
        connection.execute(ENDED, {**once, **won, "started": True, "worker": "h:1"})
        gone = {"id": DROPPED, "state": "cancelled", "outcome": "cancelled", "attempt": 0, "fence": 0}
        connection.execute(ENDED, {**once, **gone, "started": False})


async def test_a_database_of_migration_0002_keeps_all_that_it_knew(empty_database_url: str) -> None:
    await migrate(empty_database_url, "0002")
    fill(empty_database_url)
    assert "0004" in await migrate(empty_database_url)
    database = Database(empty_database_url, pool_size=2)
    history = PostgresJobHistory(database)
    jobs = {job_id: await history.get(job_id) for job_id in (DONE, RUNS, WAITS, DROPPED)}
    attempts = {job_id: await history.attempts(job_id) for job_id in jobs}
    events = {job_id: [str(e.kind) for e in await history.events(job_id)] for job_id in jobs}
    await database.close()

    assert [(job.state, job.outcome) for job in jobs.values()] == [
        (JobState.SUCCEEDED, "succeeded"),
        (JobState.RUNNING, "lost"),
        (JobState.QUEUED, "lost"),
        (JobState.CANCELLED, "cancelled"),
    ]
    for job in jobs.values():
        assert job.reason is not None
        assert job.reason.message == "It ended."
    assert (jobs[RUNS].attempt_started, jobs[WAITS].attempt_started) == (True, False)
    assert jobs[DONE].finished_at == NOON + timedelta(hours=1)
    assert [(a.fence, a.finished_at is None) for a in attempts[RUNS]] == [(1, False), (2, True)]
    assert attempts[RUNS][1].started_at == NOON + timedelta(minutes=20)
    assert [len(found) for found in attempts.values()] == [1, 2, 1, 0]
    tried = ["submitted", "claimed", "started", "retry_planned"]
    assert events[RUNS] == [*tried, "claimed", "started"]
    assert events[WAITS] == tried
    assert events[DONE] == ["submitted", "claimed", "started", "succeeded"]
    assert events[DROPPED] == ["submitted", "cancelled"]
