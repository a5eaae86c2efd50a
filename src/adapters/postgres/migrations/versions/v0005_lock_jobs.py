"""Claims lock what is still there to be claimed: a function, for its snapshot."""

from typing import Final

from alembic import op

revision = "0005"
down_revision = "0004"

# FOR UPDATE locks the newest version of a row before it looks whether that one still matches, and keeps the
# lock until the commit when it does not. In the claim's own snapshot, a millisecond old, rivals' jobs of this
# moment still look free, and their reports then wait for this claim's commit. Here the snapshot is new.
LOCK_JOBS: Final = """
CREATE FUNCTION etl.lock_jobs(ids uuid[], wanted integer) RETURNS SETOF etl.job_queue
LANGUAGE plpgsql VOLATILE AS $$ BEGIN
    RETURN QUERY SELECT q.* FROM etl.job_queue q WHERE q.job_id = ANY (ids)
        AND q.session_id IS NULL AND q.parked_on IS NULL AND q.due_at <= statement_timestamp()
        AND (q.expires_at IS NULL OR q.expires_at > statement_timestamp())
    ORDER BY q.priority DESC, q.due_at, q.job_id LIMIT wanted FOR UPDATE SKIP LOCKED;
END $$;
"""


def upgrade() -> None:
    op.execute(LOCK_JOBS)
