"""The kernel: jobs, the queue, attempts, sessions, limits, events, keys."""

from typing import Final

from alembic import op

revision = "0001"
down_revision = None

JOB: Final = """
CREATE TABLE etl.job (
    -- Written at the submit and at the end of each attempt; never scanned by a claim.
    id                  uuid        PRIMARY KEY,
    spec                json        NOT NULL,  -- json, not jsonb: it comes back byte for byte
    queue               text        NOT NULL,
    script              text,
    labels              jsonb       NOT NULL,
    submitted_at        timestamptz NOT NULL,
    submitted_by        text        NOT NULL,
    retry_of            uuid,
    -- the latest ended attempt
    outcome             text
        CHECK (outcome IN ('succeeded', 'failed', 'timed_out', 'cancelled', 'lost')),
    reason              json,
    usage               json,
    -- the end; until then etl.job_queue has the word
    final_state         text        CHECK (final_state IN ('succeeded', 'failed', 'cancelled')),
    finished_at         timestamptz,
    attempt             integer,
    fence               bigint,
    worker              text,
    attempt_started     boolean,
    started_at          timestamptz,
    cancel_requested_at timestamptz,
    CHECK ((final_state IS NULL) = (finished_at IS NULL)),
    CHECK ((final_state IS NULL) = (fence IS NULL))
);
CREATE INDEX job_by_state ON etl.job (final_state, id DESC) WHERE final_state IS NOT NULL;
CREATE INDEX job_by_queue ON etl.job (queue, id DESC);
CREATE INDEX job_by_script ON etl.job (script, id DESC) WHERE script IS NOT NULL;
CREATE INDEX job_by_labels ON etl.job USING gin (labels jsonb_path_ops) WHERE labels <> '{}';
CREATE INDEX job_by_end ON etl.job (finished_at) WHERE finished_at IS NOT NULL;
"""

JOB_QUEUE: Final = """
CREATE TABLE etl.job_queue (
    -- One narrow row per live job and nothing else; gone when the job is final.
    job_id              uuid        PRIMARY KEY,
    queue               text        NOT NULL,
    priority            smallint    NOT NULL,
    due_at              timestamptz NOT NULL,
    state               text        NOT NULL CHECK (state IN ('queued', 'parked', 'running')),
    parked_on           text,       -- the limit that a parked job waits for, and its own ceiling of it
    parked_limit        integer,
    attempt             integer     NOT NULL,
    max_attempts        integer     NOT NULL,
    fence               bigint      NOT NULL,
    session_id          uuid,
    worker              text,
    attempt_started     boolean     NOT NULL,
    started_at          timestamptz,
    submitted_at        timestamptz NOT NULL,
    not_before          timestamptz,
    expires_at          timestamptz,
    cancel_requested_at timestamptz,
    limit_key           text,
    limit_count         integer,
    CHECK ((state = 'running') = (session_id IS NOT NULL)),
    CHECK ((state = 'parked') = (parked_on IS NOT NULL))
) WITH (
    -- Vacuumed by count, not by share of the table: dead rows pile up at the head of the claim's index.
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000,
    autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX job_queue_ready ON etl.job_queue (queue, priority DESC, due_at, job_id) WHERE state = 'queued';
CREATE INDEX job_queue_parked
    ON etl.job_queue (parked_on, priority DESC, due_at, job_id) WHERE state = 'parked';
CREATE INDEX job_queue_held ON etl.job_queue (session_id) WHERE state = 'running';
CREATE INDEX job_queue_expiry
    ON etl.job_queue (expires_at) WHERE expires_at IS NOT NULL AND state <> 'running';
"""

ATTEMPT_AND_EVENT: Final = """
CREATE TABLE etl.attempt (
    job_id      uuid        NOT NULL,
    fence       bigint      NOT NULL,
    number      integer     NOT NULL,
    session_id  uuid        NOT NULL,
    worker      text        NOT NULL,
    claimed_at  timestamptz NOT NULL,
    started_at  timestamptz,
    finished_at timestamptz,
    ending      json,       -- NULL of a finished one: the claim was given back
    PRIMARY KEY (job_id, fence)
) WITH (fillfactor = 85);
CREATE TABLE etl.event (
    job_id  uuid        NOT NULL,
    number  bigint      GENERATED ALWAYS AS IDENTITY,
    at      timestamptz NOT NULL,
    kind    text        NOT NULL,
    actor   text        NOT NULL,
    attempt integer     NOT NULL,
    detail  text,
    PRIMARY KEY (job_id, number)
);
"""

WORKER_SESSION: Final = """
CREATE TABLE etl.worker_session (
    -- One row per process life of a worker: the lease of all that it holds.
    id                    uuid        PRIMARY KEY,
    host                  text        NOT NULL,
    pid                   integer     NOT NULL,
    version               text        NOT NULL,
    slots                 integer     NOT NULL,
    queues                text[]      NOT NULL,
    labels                jsonb       NOT NULL,
    state                 text        NOT NULL CHECK (state IN ('up', 'draining', 'dead')),
    started_at            timestamptz NOT NULL,
    seen_at               timestamptz NOT NULL,
    lease_expires_at      timestamptz NOT NULL,
    last_lease_expires_at timestamptz NOT NULL
) WITH (
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200,
    autovacuum_vacuum_cost_delay = 0
);
"""

LIMITS: Final = """
CREATE TABLE etl.queue (
    name      text PRIMARY KEY,
    slots     integer CHECK (slots >= 0),
    paused_at timestamptz,
    paused_by text,
    CHECK ((paused_at IS NULL) = (paused_by IS NULL))
);
CREATE TABLE etl.limit_slot (
    -- One row per unit of a limit; a free one has no holder. Exact under any number of claims at once.
    scope   text    NOT NULL,
    number  integer NOT NULL,
    job_id  uuid,
    PRIMARY KEY (scope, number)
) WITH (
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
    autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX limit_slot_by_holder ON etl.limit_slot (job_id) WHERE job_id IS NOT NULL;
"""

ACCESS: Final = """
CREATE TABLE etl.idempotency (
    owner      text        NOT NULL,
    key        text        NOT NULL,
    digest     bytea       NOT NULL,
    job_ids    uuid[]      NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner, key)
);
CREATE INDEX idempotency_by_job ON etl.idempotency ((job_ids[1]));
CREATE TABLE etl.api_key (
    id           uuid        PRIMARY KEY,
    name         text        NOT NULL,
    digest       bytea       NOT NULL UNIQUE,
    prefix       text        NOT NULL,
    scopes       text[]      NOT NULL,
    created_at   timestamptz NOT NULL,
    created_by   text        NOT NULL,
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz
);
"""

GUARD: Final = """
CREATE FUNCTION etl.refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'a final % never changes', TG_ARGV[0] USING ERRCODE = 'ETL01'; END $$;
CREATE TRIGGER final_job BEFORE UPDATE ON etl.job
    FOR EACH ROW WHEN (OLD.final_state IS NOT NULL) EXECUTE FUNCTION etl.refuse_change('job');
CREATE TRIGGER live_job BEFORE DELETE ON etl.job
    FOR EACH ROW WHEN (OLD.final_state IS NULL) EXECUTE FUNCTION etl.refuse_change('row of a live job');
CREATE TRIGGER final_attempt BEFORE UPDATE ON etl.attempt
    FOR EACH ROW WHEN (OLD.finished_at IS NOT NULL) EXECUTE FUNCTION etl.refuse_change('attempt');
"""


def upgrade() -> None:
    for statements in (JOB, JOB_QUEUE, ATTEMPT_AND_EVENT, WORKER_SESSION, LIMITS, ACCESS, GUARD):
        op.execute(statements)
