"""A claim in one statement, and maintenance of what piles up: a function and two indexes."""

from typing import Final

from alembic import op

revision = "0002"
down_revision = "0001"

# A function for its snapshot: each statement of a volatile function sees what was committed before it
# began. In the claim's own snapshot, taken before the lock, a limit set a moment ago would be missing.
HOLD_QUEUES: Final = """
CREATE FUNCTION etl.hold_queues(names text[]) RETURNS TABLE (queue text, queue_slots integer)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    held text[] := ARRAY(
        SELECT n FROM unnest(names) AS n
        WHERE pg_try_advisory_xact_lock_shared(hashtextextended('queue:' || n, 0))
    );
BEGIN
    RETURN QUERY SELECT s.name, s.slots FROM etl.queue s WHERE s.name = ANY (held) AND s.paused_at IS NULL;
END $$;
"""


# For maintenance: idempotency keys by age, and whether a live job names a limit's key.
TIDYING: Final = """
CREATE INDEX idempotency_by_age ON etl.idempotency (created_at);
CREATE INDEX job_queue_by_key ON etl.job_queue (limit_key) WHERE limit_key IS NOT NULL;
"""


def upgrade() -> None:
    op.execute(HOLD_QUEUES)
    op.execute(TIDYING)
