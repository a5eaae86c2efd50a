"""What piles up is taken away, never too early; and who is in the way is told."""

from collections.abc import AsyncIterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from sqlalchemy import text

from adapters.postgres.engine import Database
from adapters.postgres.horizon import horizon_holder
from adapters.postgres.job_queue import PostgresJobQueue
from adapters.postgres.worker_registry import PostgresWorkerRegistry
from tests.builders import CHANCE, TERMS, a_job, a_request, a_worker, keyed, report_of


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, pool_size=3)
    yield database
    await database.close()


async def _scopes(database: Database) -> set[str]:
    async with database.transaction() as connection:
        return set((await connection.execute(text("SELECT scope FROM etl.limit_slot"))).scalars())


async def test_units_of_a_key_go_when_no_live_job_names_it_and_come_back_with_the_next(
    database: Database,
) -> None:
    queue, worker = PostgresJobQueue(database, CHANCE), a_worker()
    await PostgresWorkerRegistry(database).join(worker, TERMS)
    await queue.set_slots("default", 3)
    await queue.submit([a_job(concurrency=keyed("held", 2)), a_job(concurrency=keyed("waits"), priority=-1)])
    (held,) = await queue.claim(worker.id, 1)
    await queue.expire(10)
    assert await _scopes(database) == {"queue:default", "key:held", "key:waits"}
    await queue.report([report_of(held)])
    await queue.expire(10)
    assert await _scopes(database) == {"queue:default", "key:waits"}
    await queue.submit([a_job(concurrency=keyed("held"), priority=9)])
    (again,) = await queue.claim(worker.id, 1)
    assert again.spec.concurrency == keyed("held")


async def test_units_of_a_key_stay_while_a_submit_that_names_it_has_not_committed(
    database: Database, database_url: str
) -> None:
    queue = PostgresJobQueue(database, CHANCE)
    async with database.transaction() as connection:
        await connection.execute(text("INSERT INTO etl.limit_slot (scope, number) VALUES ('key:a', 1)"))
    async with await psycopg.AsyncConnection.connect(database_url) as submitting:
        await submitting.execute("SELECT pg_advisory_xact_lock_shared(hashtextextended('key:a', 0))")
        await queue.expire(10)
        assert await _scopes(database) == {"key:a"}
    await queue.expire(10)
    assert await _scopes(database) == set()


async def test_an_idempotency_key_is_kept_for_a_day(database: Database) -> None:
    queue = PostgresJobQueue(database, CHANCE)
    await queue.submit([a_job()], a_request("old"))
    await queue.submit([a_job()], a_request("new"))
    async with database.transaction() as connection:
        for key, hours in (("old", 25), ("new", 23)):
            aged = text(
                "UPDATE etl.idempotency SET created_at = now() - make_interval(hours => :n) WHERE key = :k"
            )
            await connection.execute(aged, {"n": hours, "k": key})
    await queue.expire(10)
    assert (await queue.submit([a_job()], a_request("new"))).replayed
    assert not (await queue.submit([a_job()], a_request("old"))).replayed


async def test_the_client_with_the_oldest_open_transaction_is_named(
    database: Database, database_url: str
) -> None:
    assert await horizon_holder(database) is None
    url = make_conninfo(database_url, application_name="somebody's notebook")
    async with await psycopg.AsyncConnection.connect(url) as idle:
        await idle.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        await idle.execute("SELECT count(*) FROM etl.job")
        holder = await horizon_holder(database)
        assert holder is not None
        assert (holder.pid, holder.application_name, holder.state) == (
            idle.info.backend_pid,
            "somebody's notebook",
            "idle in transaction",
        )
        assert holder.seconds >= 0
    assert await horizon_holder(database) is None


async def test_queues_that_are_expensive_to_count_are_counted_seldom(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = PostgresJobQueue(database, CHANCE)
    await queue.submit([a_job()])
    monkeypatch.setattr("adapters.postgres.queues.EXPENSIVE_SECONDS", 0.0)
    monkeypatch.setattr("adapters.postgres.queues.REST", 1e6)
    (before,) = await queue.queues()
    await queue.submit([a_job()])
    assert await queue.queues() == [before]
    await queue.pause("default", "bob")
    (after,) = await queue.queues()
    assert (after.waiting, after.paused_by) == (2, "bob")
