"""Claims lock the head of a line as they read it: a function for all of a quick claim."""

from typing import Final

from alembic import op

revision = "0006"
down_revision = "0005"

# What waits in one queue at one priority is a line: one probe of the index a queue finds the foremost, so
# jobs that wait for their time, or in a paused queue, are never read. What is dead before a line's first
# job is passed by once, and not twice: beside a transaction that was left open these are many. A line
# alone at its priority is locked as it is read: nothing is looked at but what is taken and what rivals
# hold. Of several the heads are merged and then locked by key; were too many held, once more with longer
# heads.
#
# Its columns are named: as a SETOF etl.job_queue it fails once, in each session, after a column was added.
# Nothing behind a job that needs a unit of a limit is given; a row of NULLs at the end says that one waits.
#
# A function, for its snapshots: each statement sees what was committed before it began. In the claim's own, a
# limit set a moment ago would be missing (v0002), and rivals' jobs of this moment would look free (v0005). So
# it tells all of a job: joined outside, one that was submitted in between would be taken and not be seen.
# Its plans are generic: made for each call they took half of its time. ROWS 10, for the plan around it: where
# many rows are expected, a statistic that moved a little makes the planner plan each call anew.
# FOR SHARE: nobody can declare the session dead before this claim has committed. session_id IS NULL AND
# parked_on IS NULL is state = 'queued', by the table's CHECKs; said so, it tempts the planner to no other
# index than the key.
CLAIM_JOBS: Final = """
CREATE FUNCTION etl.claim_jobs(session uuid, wanted integer) RETURNS TABLE (
    id uuid, spec text, submitted_at timestamptz, submitted_by text, retry_of uuid, priority smallint,
    due_at timestamptz, state text, not_before timestamptz, session_id uuid, put_backs integer,
    attempt integer, fence bigint, worker text, attempt_started boolean, started_at timestamptz,
    cancel_requested_at timestamptz, ending text
) LANGUAGE plpgsql VOLATILE ROWS 10 SET plan_cache_mode = force_generic_plan SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
    worker_name text;
    served text[];
    lines text[];
    level integer := 32767;
    since timestamptz;
    room integer := wanted;
    length integer;
    heads uuid[];
    locked tid[];
    are_keyed boolean[];
    taken tid[] := '{}';
    is_limited boolean := false;
    moment timestamptz;
BEGIN
    SELECT s.host || ':' || s.pid, s.queues INTO worker_name, served FROM etl.worker_session s
    WHERE s.id = session AND s.state = 'up' AND s.lease_expires_at > clock_timestamp() FOR SHARE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    served := ARRAY(
        SELECT s.name FROM etl.queue s WHERE s.paused_at IS NULL AND s.slots IS DISTINCT FROM 0
            AND (served = '{}' OR s.name = ANY (served))
    );
    WHILE room > 0 AND NOT is_limited LOOP
        SELECT t.priority, array_agg(n.name), min(t.due_at) INTO level, lines, since
        FROM unnest(served) AS n(name) CROSS JOIN LATERAL (
            SELECT q.priority, q.due_at FROM etl.job_queue q
            WHERE q.state = 'queued' AND q.queue = n.name AND q.priority < level
            ORDER BY q.priority DESC, q.due_at LIMIT 1
        ) t GROUP BY t.priority ORDER BY t.priority DESC LIMIT 1;
        EXIT WHEN NOT FOUND;
        SELECT array_agg(h.queue), coalesce(bool_or(h.queue_slots IS NOT NULL), false) INTO lines, is_limited
        FROM etl.hold_queues(lines) h;
        EXIT WHEN is_limited;
        CONTINUE WHEN lines IS NULL;
        IF cardinality(lines) = 1 THEN
            SELECT array_agg(l.ctid), array_agg(l.is_keyed) INTO locked, are_keyed FROM (
                SELECT q.ctid, q.limit_key IS NOT NULL AS is_keyed FROM etl.job_queue q
                WHERE q.state = 'queued' AND q.queue = lines[1] AND q.priority = level
                    AND q.due_at >= since AND q.due_at <= statement_timestamp()
                    AND (q.expires_at IS NULL OR q.expires_at > statement_timestamp())
                ORDER BY q.due_at, q.job_id LIMIT room FOR UPDATE SKIP LOCKED
            ) l;
        ELSE
            length := 2 * room + 8;
            LOOP
                heads := ARRAY(
                    SELECT h.job_id FROM unnest(lines) AS n(name) CROSS JOIN LATERAL (
                        SELECT q.job_id, q.due_at FROM etl.job_queue q
                        WHERE q.state = 'queued' AND q.queue = n.name AND q.priority = level
                            AND q.due_at >= since AND q.due_at <= statement_timestamp()
                            AND (q.expires_at IS NULL OR q.expires_at > statement_timestamp())
                        ORDER BY q.due_at, q.job_id LIMIT length
                    ) h ORDER BY h.due_at, h.job_id LIMIT length
                );
                SELECT array_agg(l.ctid), array_agg(l.is_keyed) INTO locked, are_keyed FROM (
                    SELECT q.ctid, q.limit_key IS NOT NULL AS is_keyed FROM etl.job_queue q
                    WHERE q.job_id = ANY (heads) AND q.session_id IS NULL AND q.parked_on IS NULL
                        AND q.due_at <= statement_timestamp()
                        AND (q.expires_at IS NULL OR q.expires_at > statement_timestamp())
                    ORDER BY q.due_at, q.job_id LIMIT room FOR UPDATE SKIP LOCKED
                ) l;
                EXIT WHEN cardinality(heads) < length OR cardinality(locked) = room;
                length := 4 * length;
            END LOOP;
        END IF;
        is_limited := coalesce(true = ANY (are_keyed), false);
        IF is_limited THEN
            locked := locked[1 : array_position(are_keyed, true) - 1];
        END IF;
        taken := taken || locked;
        room := wanted - cardinality(taken);
    END LOOP;
    moment := clock_timestamp();
    RETURN QUERY UPDATE etl.job_queue q SET state = 'running', fence = q.fence + 1, attempt = q.attempt + 1,
        session_id = session, worker = worker_name, claimed_at = moment
    FROM etl.job j WHERE q.ctid = ANY (taken) AND j.id = q.job_id
    RETURNING j.id, CAST(j.spec AS text), j.submitted_at, j.submitted_by, j.retry_of, q.priority, q.due_at,
        q.state, q.not_before, q.session_id, q.put_backs, q.attempt, q.fence, q.worker,
        q.attempt_started_at IS NOT NULL, q.started_at, q.cancel_requested_at,
        CASE WHEN q.fence > 1 THEN (
            SELECT CAST(a.ending AS text) FROM etl.attempt a WHERE a.job_id = j.id AND a.ending IS NOT NULL
            ORDER BY a.fence DESC LIMIT 1
        ) END;
    IF is_limited THEN
        RETURN NEXT;
    END IF;
END $$;
"""


def upgrade() -> None:
    op.execute(CLAIM_JOBS)
    op.execute("DROP FUNCTION etl.lock_jobs(uuid[], integer)")
