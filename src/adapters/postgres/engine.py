"""The pools of connections, and what one transaction is."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from adapters.postgres.connecting import ANSWER_SECONDS, PatientConnection, conninfo
from adapters.postgres.failures import is_repeatable, told_in_our_words

Result = TypeVar("Result")
Work = Callable[[AsyncConnection], Awaitable[Result]]

TRIES: Final = 5
RETRY_SECONDS: Final = 0.02


class Database:
    """Two pools on one server: one for everything, and a reserved one for renewals, so that an
    exhausted pool never costs a lease.

    All raise DatabaseUnavailable when the server cannot be reached or does not answer within
    `answer_seconds` a statement. Heals by itself: connections are tried before they are used.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 10,
        pool_seconds: float = 5.0,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._conninfo = conninfo(url)
        self._answer_seconds = answer_seconds
        self._shared = self._engine(pool_size, pool_seconds)
        self._reserved = self._engine(1, pool_seconds)

    async def open(self) -> None:
        """Raises DatabaseUnavailable if the server does not answer now."""
        async with self.transaction() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        await self._shared.dispose()
        await self._reserved.dispose()

    @asynccontextmanager
    async def transaction(self, *, reserved: bool = False) -> AsyncIterator[AsyncConnection]:
        """Commits at the end of the block, rolls back on any error."""
        engine = self._reserved if reserved else self._shared
        with told_in_our_words():
            async with engine.begin() as connection:
                yield connection

    async def run(self, work: Work[Result], *, reserved: bool = False) -> Result:
        """`work` in one transaction, run again after a deadlock or a serialization failure."""
        engine = self._reserved if reserved else self._shared
        with told_in_our_words():
            for attempt in range(1, TRIES):
                try:
                    return await _once(engine, work)
                except Exception as error:
                    if not is_repeatable(error):
                        raise
                await asyncio.sleep(RETRY_SECONDS * attempt * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret
            return await _once(engine, work)

    def _engine(self, size: int, seconds: float) -> AsyncEngine:
        return create_async_engine(
            "postgresql+psycopg://",
            async_creator=self._connect,
            pool_size=size,
            max_overflow=0,
            pool_timeout=seconds,
            pool_pre_ping=True,
            skip_autocommit_rollback=True,
        )

    async def _connect(self) -> Any:
        connection = await PatientConnection.connect(self._conninfo)
        connection.answer_seconds = self._answer_seconds
        return connection


async def _once(engine: AsyncEngine, work: Work[Result]) -> Result:
    async with engine.begin() as connection:
        return await work(connection)
