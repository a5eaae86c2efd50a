"""The statements of the hot path read what they need by index, and go on doing so."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import ClientCursor
from sqlalchemy import create_engine

from adapters.postgres import claiming, locking, quick_claim, quick_report, quick_start
from adapters.postgres.connecting import conninfo

ROWS = 100_000
DIALECT = create_engine("postgresql+psycopg://").dialect
WINDOW = 36
WANTED = 10
SESSION = """
INSERT INTO etl.queue (name) VALUES ('default'), ('other');
INSERT INTO etl.worker_session SELECT '{session}', 'h', 1, '1', 1, '{{}}', '{{}}', 'up', now(), now(),
    now() + interval '1 hour', now() + interval '1 hour';
"""
JOBS = """
INSERT INTO etl.job (id, spec, queue, labels, submitted_at, submitted_by)
    SELECT gen_random_uuid(), '{{}}', 'default', '{{}}', now(), 'a' FROM generate_series(1, {rows});
INSERT INTO etl.job_queue (job_id, queue, priority, due_at, state, attempt, max_attempts, fence,
    submitted_at)
    SELECT id, CASE WHEN random() < 0.5 THEN 'default' ELSE 'other' END, (random() * 4)::int,
        now() + CASE WHEN random() < 0.5 THEN interval '1 day' ELSE interval '-1 hour' END * random(),
        'queued', 0, 1, 0, now() FROM etl.job ON CONFLICT DO NOTHING;
"""
LIVE = SESSION + JOBS


def test_a_claim_of_100_000_waiting_jobs_reads_a_few_by_the_index(database_url: str) -> None:
    session = uuid4()
    with psycopg.connect(database_url, autocommit=True, cursor_factory=ClientCursor) as connection:
        connection.execute(LIVE.format(session=session, rows=ROWS))
        connection.execute("ANALYZE")
        plan = explain(connection, claiming.FOUND, {"session_id": session, "window": WINDOW})
        assert read(plan) < 20 * WINDOW, json.dumps(plan)[:4000]
        assert "job_queue_ready" in {node.get("Index Name") for node in nodes(plan)}
        # The check can fail: without its index the same claim reads everything.
        connection.execute("DROP INDEX etl.job_queue_ready")
        plan = explain(connection, claiming.FOUND, {"session_id": session, "window": WINDOW})
        assert read(plan) > ROWS / 4


def test_a_fenced_lock_stays_fast_when_its_plan_becomes_generic(database_url: str) -> None:
    with psycopg.connect(conninfo(database_url), autocommit=True, cursor_factory=ClientCursor) as connection:
        connection.execute(LIVE.format(session=uuid4(), rows=20_000))
        connection.execute("ANALYZE")
        connection.execute("SET plan_cache_mode = force_generic_plan")
        ids: list[UUID] = [row[0] for row in connection.execute("SELECT job_id FROM etl.job_queue LIMIT 500")]
        statement = numbered(locking.FENCED, ("ids", "fences"))
        connection.execute(f"PREPARE fenced (uuid[], bigint[]) AS {statement}")
        answer = connection.execute(
            "EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE fenced (%s, %s)", (ids, [0] * len(ids))
        ).fetchone()
        assert answer is not None
        plan = answer[0][0]["Plan"]
        assert read(plan) <= 3 * len(ids), json.dumps(plan)[:4000]
        assert {n["Node Type"] for n in nodes(plan)}.isdisjoint({"Seq Scan", "Bitmap Heap Scan"})


QUICK = {
    "start": (quick_start.START, {"ids": "uuid[]", "fences": "bigint[]"}),
    "report": (quick_report.SUCCEEDED, {"ids": "uuid[]", "fences": "bigint[]", "endings": "text"}),
}


@pytest.mark.parametrize("verb", QUICK)
def test_a_plan_kept_from_when_the_queue_was_empty_still_reads_a_few_by_the_index(
    database_url: str, verb: str
) -> None:
    statement, types = QUICK[verb]
    session = uuid4()
    with psycopg.connect(conninfo(database_url), autocommit=True, cursor_factory=ClientCursor) as connection:
        connection.execute("SET plan_cache_mode = force_generic_plan")
        for position, name in enumerate(types, start=1):
            statement = statement.replace(f"%({name})s", f"${position}")
        connection.execute(f"PREPARE quick ({', '.join(types.values())}) AS {statement}")
        run = f"EXECUTE quick ({', '.join(['NULL'] * len(types))})"
        connection.execute(run)
        # What analyzes throws kept plans away; a server does so minutes after the jobs came.
        connection.execute("ALTER TABLE etl.job_queue SET (autovacuum_enabled = off)")
        connection.execute("ALTER TABLE etl.job SET (autovacuum_enabled = off)")
        connection.execute(run)
        connection.execute(LIVE.format(session=session, rows=ROWS))
        values = values_of(connection)
        placeholders = ", ".join(f"%({name})s" for name in types)
        answer = connection.execute(
            f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE quick ({placeholders})", values
        ).fetchone()
        assert answer is not None
        assert read(answer[0][0]["Plan"]) < 1000, json.dumps(answer[0][0]["Plan"])[:4000]


@pytest.mark.parametrize("queues", [["other"], ["default", "other"]], ids=["one line", "two lines"])
def test_a_quick_claim_planned_on_a_small_queue_reads_little_more_than_it_takes(
    database_url: str, queues: list[str]
) -> None:
    session = uuid4()
    with psycopg.connect(conninfo(database_url), autocommit=True) as connection:
        connection.execute("ALTER TABLE etl.job_queue SET (autovacuum_enabled = off)")
        connection.execute(SESSION.format(session=session))
        connection.execute("UPDATE etl.worker_session SET queues = %s", (queues,))
        connection.execute(JOBS.format(rows=10 * WANTED))
        assert claim(connection, session)[0] > 0
        connection.execute(JOBS.format(rows=ROWS))
        claimed, read_ = claim(connection, session)
        assert (claimed, read_ < 20 * WANTED) == (WANTED, True), read_
        # The check can fail: without its index the same claim reads everything.
        connection.execute("DROP INDEX etl.job_queue_ready")
        claimed, read_ = claim(connection, session)
        assert (claimed, read_ > ROWS / 4) == (WANTED, True), read_


def claim(connection: psycopg.Connection[Any], session: UUID) -> tuple[int, int]:
    """How many jobs it took, and how many rows were read for it, in functions too."""
    with connection.transaction():
        claimed = connection.execute(quick_claim.CLAIM, {"session_id": session, "wanted": WANTED}).rowcount
        row = connection.execute("""
            SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::int FROM pg_stat_xact_user_tables
        """).fetchone()
    assert row is not None
    return claimed, row[0]


def values_of(connection: psycopg.Connection[Any]) -> dict[str, Any]:
    ids = [row[0] for row in connection.execute("SELECT job_id FROM etl.job_queue LIMIT 50")]
    return {"ids": ids, "fences": [0] * len(ids), "endings": "\n".join(["{}"] * len(ids))}


def explain(connection: psycopg.Connection[Any], statement: Any, values: dict[str, Any]) -> dict[str, Any]:
    rendered = str(statement.compile(dialect=DIALECT))
    answer = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {rendered}", values).fetchone()
    assert answer is not None
    plan: dict[str, Any] = answer[0][0]["Plan"]
    return plan


def numbered(statement: Any, names: tuple[str, ...]) -> str:
    rendered = str(statement.compile(dialect=DIALECT))
    for position, name in enumerate(names, start=1):
        rendered = rendered.replace(f"%({name})s", f"${position}")
    return rendered


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def read(plan: dict[str, Any]) -> float:
    """Rows that were fetched from tables and indexes, those that a filter threw away included."""
    scans = [node for node in nodes(plan) if "Relation Name" in node]
    return float(
        sum((n["Actual Rows"] + n.get("Rows Removed by Filter", 0)) * n["Actual Loops"] for n in scans)
    )
