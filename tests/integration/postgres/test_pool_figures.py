"""How busy the pools are, as the figures tell it, and what comes back after their end."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from adapters.postgres.engine import Database, PoolUse
from adapters.postgres.pooling import CountedPool
from entrypoints.telemetry import NEVER_TALKATIVE


async def test_connections_in_use_and_those_who_wait_for_one_are_told(database_url: str) -> None:
    database = Database(database_url, pool_size=2, pool_seconds=20)
    assert database.pools() == (PoolUse("shared", 2, 0, 0), PoolUse("reserved", 1, 0, 0))
    async with AsyncExitStack() as held:
        for _ in range(2):
            await held.enter_async_context(database.transaction())
        waiting = asyncio.create_task(database.open())
        async with asyncio.timeout(20):
            while database.pools()[0].waiting == 0:  # noqa: ASYNC110 - a pool tells nobody of who waits
                await asyncio.sleep(0)
        assert database.pools()[0] == PoolUse("shared", 2, 2, 1)
    await waiting
    assert database.pools()[0] == PoolUse("shared", 2, 0, 0)
    await database.close()


async def test_a_connection_that_comes_back_after_the_end_is_closed(database_url: str) -> None:
    """Nobody would take it from the pool again, and PostgreSQL would keep its slot."""
    database = Database(database_url)
    async with database.transaction() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        await database.close()
        assert not driver.closed
    assert driver.closed


def test_the_pools_logger_is_among_those_that_are_kept_quiet() -> None:
    assert any(f"{CountedPool.__module__}.".startswith(f"{name}.") for name in NEVER_TALKATIVE)
