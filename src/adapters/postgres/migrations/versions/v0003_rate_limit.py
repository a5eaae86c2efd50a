"""Buckets of calls, one a caller."""

from typing import Final

from alembic import op

revision = "0003"
down_revision = "0002"

# Unlogged: no write-ahead log, and empty after a crash, when every bucket is full again. `full_at` is in
# seconds since 1970, as the arithmetic is; a row is the same as none once it has passed. It has no index,
# for an update of a column without one leaves the indexes alone.
RATE_LIMIT: Final = """
CREATE UNLOGGED TABLE etl.rate_limit (
    subject text             PRIMARY KEY,
    full_at double precision NOT NULL,
    granted bigint           NOT NULL  -- by the last change: RETURNING cannot tell it otherwise before 18
) WITH (
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
    autovacuum_vacuum_cost_delay = 0
);
"""


def upgrade() -> None:
    op.execute(RATE_LIMIT)
