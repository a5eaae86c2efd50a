"""Fewer rows a job: a job's end and its ended attempts are written once, and nothing is told twice.

Before, a job wrote its record twice and its attempt twice or thrice, and an event for what those rows
say anyway. Jobs, attempts and ends move over; events that the attempts tell are dropped.
"""

from typing import Final

from alembic import op

revision = "0004"
down_revision = "0003"

JOB_END: Final = """
CREATE TABLE etl.job_end (
    -- Written once, when the job becomes final. `outcome` and `reason` only where no attempt gave them:
    -- those of an attempt stand in its own row.
    job_id              uuid        PRIMARY KEY,
    final_state         text        NOT NULL CHECK (final_state IN ('succeeded', 'failed', 'cancelled')),
    finished_at         timestamptz NOT NULL,
    attempt             integer     NOT NULL,
    fence               bigint      NOT NULL,
    worker              text,
    attempt_started     boolean     NOT NULL,
    started_at          timestamptz,
    cancel_requested_at timestamptz,
    outcome             text CHECK (outcome IN ('succeeded', 'failed', 'timed_out', 'cancelled', 'lost')),
    reason              json,
    CHECK ((outcome IS NULL) = (reason IS NULL))
);
INSERT INTO etl.job_end
SELECT j.id, j.final_state, j.finished_at, j.attempt, j.fence, j.worker, j.attempt_started, j.started_at,
    j.cancel_requested_at, j.outcome, j.reason
FROM etl.job j WHERE j.final_state IS NOT NULL;
CREATE INDEX job_end_by_state ON etl.job_end (final_state, job_id DESC);
CREATE INDEX job_end_by_time ON etl.job_end (finished_at);
"""

# The attempt at hand stands in the queue's row; its own is written when it has ended.
LIVE_ATTEMPT: Final = """
ALTER TABLE etl.job_queue ADD COLUMN claimed_at timestamptz, ADD COLUMN attempt_started_at timestamptz,
    ADD COLUMN put_backs integer NOT NULL DEFAULT 0;
UPDATE etl.job_queue SET put_backs = fence - attempt;
UPDATE etl.job_queue q SET claimed_at = a.claimed_at, attempt_started_at = a.started_at
FROM etl.attempt a WHERE q.state = 'running' AND a.job_id = q.job_id AND a.fence = q.fence;
ALTER TABLE etl.job_queue DROP COLUMN attempt_started,
    ADD CHECK ((state = 'running') = (claimed_at IS NOT NULL)),
    ADD CHECK (state = 'running' OR attempt_started_at IS NULL);
DELETE FROM etl.attempt WHERE finished_at IS NULL;
ALTER TABLE etl.attempt ALTER COLUMN finished_at SET NOT NULL;
ALTER TABLE etl.attempt RESET (fillfactor);
"""

EVENT: Final = """
DELETE FROM etl.event WHERE kind IN ('submitted', 'claimed', 'started', 'succeeded');
ALTER TABLE etl.event ADD COLUMN fence bigint;
UPDATE etl.event e SET fence = coalesce(
    (SELECT max(a.fence) FROM etl.attempt a WHERE a.job_id = e.job_id AND a.claimed_at <= e.at), 0);
ALTER TABLE etl.event ALTER COLUMN fence SET NOT NULL;
"""

GUARDS: Final = """
DROP TRIGGER final_job ON etl.job;
DROP TRIGGER live_job ON etl.job;
DROP TRIGGER final_attempt ON etl.attempt;
ALTER TABLE etl.job DROP COLUMN outcome, DROP COLUMN reason, DROP COLUMN usage, DROP COLUMN final_state,
    DROP COLUMN finished_at, DROP COLUMN attempt, DROP COLUMN fence, DROP COLUMN worker,
    DROP COLUMN attempt_started, DROP COLUMN started_at, DROP COLUMN cancel_requested_at;
CREATE TRIGGER job_request BEFORE UPDATE ON etl.job
    FOR EACH ROW EXECUTE FUNCTION etl.refuse_change('request');
CREATE TRIGGER final_job BEFORE UPDATE ON etl.job_end
    FOR EACH ROW EXECUTE FUNCTION etl.refuse_change('job');
CREATE TRIGGER final_attempt BEFORE UPDATE ON etl.attempt
    FOR EACH ROW EXECUTE FUNCTION etl.refuse_change('attempt');
CREATE FUNCTION etl.refuse_live() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF EXISTS (SELECT FROM etl.job_queue q WHERE q.job_id = OLD.id) THEN
        RAISE EXCEPTION 'job % is live', OLD.id USING ERRCODE = 'ETL01';
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER live_job BEFORE DELETE ON etl.job FOR EACH ROW EXECUTE FUNCTION etl.refuse_live();
"""


def upgrade() -> None:
    for statements in (JOB_END, LIVE_ATTEMPT, EVENT, GUARDS):
        op.execute(statements)
