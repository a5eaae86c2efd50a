"""The jobs that a session may claim, in order, as they are in one snapshot: nothing is locked yet."""

from typing import Final, LiteralString

# A line is what stands in one queue at one priority: one probe of the index finds the next, so jobs
# that wait for their time (a million of them cost 60 ms a claim) or in a paused queue are never read.
# FOR SHARE: nobody can declare the session dead before this claim has committed.
CANDIDATES: Final[LiteralString] = """
me AS MATERIALIZED (
    SELECT host, pid, queues FROM etl.worker_session
    WHERE id = {session_id} AND state = 'up' AND lease_expires_at > clock_timestamp() FOR SHARE
), open AS MATERIALIZED (
    SELECT s.name FROM etl.queue s, me
    WHERE s.paused_at IS NULL AND s.slots IS DISTINCT FROM 0
        AND (me.queues = '{{}}' OR s.name = ANY (me.queues))
), line AS (
    SELECT open.name, t.priority FROM open CROSS JOIN LATERAL (
        SELECT q.priority FROM etl.job_queue q WHERE q.state = 'queued' AND q.queue = open.name
        ORDER BY q.priority DESC LIMIT 1
    ) t
    UNION ALL
    SELECT line.name, t.priority FROM line CROSS JOIN LATERAL (
        SELECT q.priority FROM etl.job_queue q
        WHERE q.state = 'queued' AND q.queue = line.name AND q.priority < line.priority
        ORDER BY q.priority DESC LIMIT 1
    ) t
), found AS MATERIALIZED (
    SELECT c.job_id, line.name AS queue, c.is_keyed,
        row_number() OVER (ORDER BY line.priority DESC, c.due_at, c.job_id) AS place
    FROM line CROSS JOIN LATERAL (
        SELECT q.job_id, q.due_at, q.limit_key IS NOT NULL AS is_keyed FROM etl.job_queue q
        WHERE q.state = 'queued' AND q.queue = line.name AND q.priority = line.priority
            AND q.due_at <= statement_timestamp()
            AND (q.expires_at IS NULL OR q.expires_at > statement_timestamp())
        ORDER BY q.due_at, q.job_id LIMIT {window}
    ) c
    ORDER BY place LIMIT {window}
)
"""
