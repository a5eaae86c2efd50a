"""A database that is away, stalls or is full of others is told of in time, and everything heals by itself."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import psycopg
import pytest
from sqlalchemy import text

from adapters.postgres.engine import Database
from adapters.postgres.job_history import PostgresJobHistory
from adapters.postgres.job_queue import PostgresJobQueue
from adapters.postgres.migrate import migrate
from adapters.postgres.worker_registry import PostgresWorkerRegistry
from adapters.system.clock import SystemChance
from domain.errors import DatabaseUnavailable
from tests.builders import TERMS, a_job, a_worker
from tests.embedded_server import Server


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of the test's own, which may be killed."""
    own = Server()
    own.start()
    yield own
    own.stop()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, pool_size=2, pool_seconds=0.5, answer_seconds=2.0)
    await database.open()
    yield database
    await database.close()


async def test_what_was_submitted_survives_a_crash_and_the_same_pool_goes_on(server: Server) -> None:
    await migrate(server.url)
    database = Database(server.url, answer_seconds=5.0)
    await database.open()
    queue, history = PostgresJobQueue(database, SystemChance()), PostgresJobHistory(database)
    job = a_job()
    await queue.submit([job])
    server.kill()
    for _ in range(3):
        with pytest.raises(DatabaseUnavailable) as told:
            await queue.submit([a_job()])
        assert "etl." not in told.value.detail
        assert str(server.directory) not in told.value.detail
    server.start()
    assert await history.get(job.id) == job
    await queue.submit([a_job()])
    await database.close()


async def test_a_backend_that_stalls_is_given_up_within_the_deadline(database: Database) -> None:
    async with asyncio.timeout(30):
        with pytest.raises(DatabaseUnavailable):
            await ask_a_stopped_backend(database)
        async with database.transaction() as connection:
            assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1


async def ask_a_stopped_backend(database: Database) -> None:
    async with database.transaction() as connection:
        pid = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        os.kill(pid, signal.SIGSTOP)
        try:
            await connection.execute(text("SELECT 1"))
        finally:
            os.kill(pid, signal.SIGCONT)


async def test_an_exhausted_pool_is_told_of_and_costs_no_lease(database: Database) -> None:
    registry, queue = PostgresWorkerRegistry(database), PostgresJobQueue(database, SystemChance())
    worker = a_worker()
    await registry.join(worker, TERMS)
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(database.transaction())
        with pytest.raises(DatabaseUnavailable, match="in use"):
            await queue.submit([a_job()])
        assert await registry.renew(worker.id, TERMS) is not None
    await queue.submit([a_job()])


async def test_a_database_that_became_read_only_is_unavailable_for_changes(
    database: Database, database_url: str
) -> None:
    queue = PostgresJobQueue(database, SystemChance())
    with psycopg.connect(database_url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND datname = current_database()"
        )
    with pytest.raises(DatabaseUnavailable, match="read-only"):
        await queue.submit([a_job()])


async def test_connections_that_the_server_ended_are_replaced_unseen(
    database: Database, database_url: str
) -> None:
    queue = PostgresJobQueue(database, SystemChance())
    await queue.submit([a_job()])
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
    await queue.submit([a_job()])


async def test_a_deadlock_is_repeated_and_not_seen(database: Database) -> None:
    first, second = asyncio.Event(), asyncio.Event()
    runs = 0

    async def lock(mine: int, other: int, have: asyncio.Event, wait_for: asyncio.Event) -> None:
        async def work(connection: object) -> None:
            nonlocal runs
            runs += 1
            await connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": mine})  # type: ignore[attr-defined]  # any connection
            have.set()
            await wait_for.wait()
            await connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": other})  # type: ignore[attr-defined]  # as above

        await database.run(work)

    await asyncio.gather(lock(1, 2, first, second), lock(2, 1, second, first))
    assert runs >= 3


async def test_opening_and_closing_twice_is_allowed_and_an_absent_server_is_told_of(tmp_path: object) -> None:
    database = Database(f"postgresql://etl@/postgres?host={tmp_path}")
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            await database.open()
    await database.close()
    await database.close()
