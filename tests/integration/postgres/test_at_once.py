"""A connection lent for one statement comes back as it went, or not at all."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from adapters.postgres.engine import Database
from domain.errors import DatabaseUnavailable

PID = "SELECT pg_backend_pid() AS pid"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, pool_size=1, pool_seconds=0.5)
    await database.open()
    yield database
    await database.close()


async def pid(database: Database) -> int:
    [row] = await database.at_once(PID, {})
    return int(row.pid)


async def test_statements_that_follow_each_other_and_transactions_share_a_connection(
    database: Database,
) -> None:
    first = await pid(database)
    async with database.transaction() as connection:
        assert (await connection.exec_driver_sql(PID)).scalar_one() == first
    assert await pid(database) == first
    assert database.pools()[0].in_use == 0


async def test_after_an_error_of_the_statement_its_connection_goes_on(database: Database) -> None:
    first = await pid(database)
    with pytest.raises(psycopg.errors.DivisionByZero):
        await database.at_once("SELECT 1 / %(zero)s::int AS none", {"zero": 0})
    assert await pid(database) == first


async def test_a_statement_cancelled_half_way_leaves_its_answer_to_nobody(database: Database) -> None:
    await pid(database)
    asleep = asyncio.create_task(database.at_once("SELECT pg_sleep(30) AS pid", {}))
    async with asyncio.timeout(20):
        while not database.pools()[0].in_use:  # noqa: ASYNC110 - a pool tells nobody of who has one
            await asyncio.sleep(0)
    asleep.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asleep
    assert database.pools()[0].in_use == 0
    assert await pid(database) == await pid(database)


async def test_a_connection_that_the_server_ended_is_not_lent_again(
    database: Database, database_url: str
) -> None:
    first = await pid(database)
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", [first])
    assert await pid(database) != first


async def test_a_connection_lost_under_its_statement_is_told_of_and_replaced(
    database: Database, database_url: str
) -> None:
    first = await pid(database)
    asleep = asyncio.create_task(database.at_once("SELECT pg_sleep(30) AS pid", {}))
    with psycopg.connect(database_url, autocommit=True) as other:
        async with asyncio.timeout(20):
            active = "SELECT FROM pg_stat_activity WHERE pid = %s AND state = 'active'"
            while other.execute(active, [first]).fetchone() is None:  # noqa: ASYNC110 - it is the server's state
                await asyncio.sleep(0)
        other.execute("SELECT pg_terminate_backend(%s, 10000)", [first])
    with pytest.raises(DatabaseUnavailable):
        await asleep
    assert await pid(database) != first


async def test_one_that_comes_back_after_the_end_is_closed(database: Database, database_url: str) -> None:
    first = await pid(database)
    asleep = asyncio.create_task(database.at_once("SELECT 1 AS one FROM pg_sleep(0.3)", {}))
    async with asyncio.timeout(20):
        while not database.pools()[0].in_use:  # noqa: ASYNC110 - a pool tells nobody of who has one
            await asyncio.sleep(0)
    await database.close()
    assert [row.one for row in await asleep] == [1]
    with psycopg.connect(database_url, autocommit=True) as other:
        there = "SELECT FROM pg_stat_activity WHERE pid = %s"
        async with asyncio.timeout(20):
            while other.execute(there, [first]).fetchone() is not None:  # noqa: ASYNC110 - it is the server's
                await asyncio.sleep(0.01)
