"""The pools of connections, and what one transaction is."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, LiteralString, TypeVar, cast

from sqlalchemy import Executable, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.util import greenlet_spawn

from adapters.postgres.connecting import ANSWER_SECONDS, PatientConnection, conninfo
from adapters.postgres.failures import READ_ONLY, is_repeatable, told_in_our_words
from adapters.postgres.pooling import CountedPool, is_usable, pooled
from adapters.postgres.pulse import BEAT_SECONDS, Pulse
from domain.errors import DatabaseUnavailable

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class PoolUse:
    """One pool of connections at one moment. `waiting`: who has asked for one and has none yet."""

    pool: str
    size: int
    in_use: int
    waiting: int


Work = Callable[[AsyncConnection], Awaitable[Result]]

TRIES: Final = 5
RETRY_SECONDS: Final = 0.02
MOST_KEPT: Final = 16


class Database:
    """Two pools on one server: one for everything, and a reserved one for renewals, so that an
    exhausted pool never costs a lease.

    All raise DatabaseUnavailable when the server cannot be reached or does not answer within
    `answer_seconds` a statement; where somebody waits urgently (application/asking/urgency.py), within 2 s,
    unless the server shows that it lives. It heals by itself: a connection that ended is replaced before use.
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
        self._pulse = Pulse(self._connect_pulse)
        self._shared = pooled(self._connect, pool_size, pool_seconds)
        self._reserved = pooled(self._connect, 1, pool_seconds)

    async def open(self) -> None:
        """Raises DatabaseUnavailable if the server does not answer now, or takes no changes: an old primary
        after a failover answers every question and is of no use.
        """
        async with self.transaction() as connection:
            if (await connection.execute(text("SHOW transaction_read_only"))).scalar_one() == "on":
                raise DatabaseUnavailable(READ_ONLY)

    def pools(self) -> tuple[PoolUse, ...]:
        """How busy they are; costs nothing."""
        return _use("shared", self._shared), _use("reserved", self._reserved)

    async def close(self) -> None:
        await self._pulse.stop()
        await self._shared.dispose()
        await self._reserved.dispose()

    @asynccontextmanager
    async def transaction(self, *, reserved: bool = False) -> AsyncIterator[AsyncConnection]:
        """Commits at the end of the block, rolls back on any error."""
        engine = self._reserved if reserved else self._shared
        with told_in_our_words():
            async with _transaction(engine, self._pulse) as connection:
                yield connection

    async def rows(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """Those of one statement in a transaction of its own, which is not run again."""
        async with self.transaction() as connection:
            return (await connection.execute(statement, values)).all()

    async def run(self, work: Work[Result], *, reserved: bool = False) -> Result:
        """`work` in one transaction, run again after a deadlock or a serialization failure."""
        engine = self._reserved if reserved else self._shared
        return await _repeated(lambda: _once(engine, self._pulse, work))

    async def at_once(self, statement: LiteralString, values: Mapping[str, Any]) -> list[Any]:
        """One statement that is a transaction of its own: one round trip, at a tenth of the CPU that
        SQLAlchemy takes for it. Rows come as named tuples. Run again like `run`.

        `statement` is psycopg's dialect: `%(name)s`. It is prepared at its first use on a connection.
        """
        return await _repeated(lambda: _at_once(self._shared, self._pulse, statement, values))

    async def _connect(self) -> Any:
        connection = await PatientConnection.connect(self._conninfo)
        connection.answer_seconds, connection.pulse = self._answer_seconds, self._pulse
        return connection

    async def _connect_pulse(self) -> PatientConnection:
        connection = await PatientConnection.connect(self._conninfo, autocommit=True)
        connection.answer_seconds = BEAT_SECONDS
        return connection


def _use(name: str, engine: AsyncEngine) -> PoolUse:
    pool = cast("CountedPool", engine.sync_engine.pool)
    return PoolUse(name, pool.size(), pool.checkedout(), pool.waiting)


async def _once(engine: AsyncEngine, pulse: Pulse, work: Work[Result]) -> Result:
    async with _transaction(engine, pulse) as connection:
        return await work(connection)


@asynccontextmanager
async def _transaction(engine: AsyncEngine, pulse: Pulse) -> AsyncIterator[AsyncConnection]:
    async with pulse.watched():
        connection = await engine.connect()
    try:
        driver = cast("PatientConnection", (await connection.get_raw_connection()).driver_connection)
        if driver.autocommit:  # as `_at_once` leaves it
            await driver.set_autocommit(False)
        async with connection.begin():
            yield connection
    finally:
        await asyncio.shield(connection.close())  # goes back into the pool, whoever is cancelled


async def _at_once(
    engine: AsyncEngine, pulse: Pulse, statement: LiteralString, values: Mapping[str, Any]
) -> list[Any]:
    """Of SQLAlchemy the pool alone: each of its objects, and each switch of a mode, costs as much as a
    tenth of the statement.
    """
    pool = cast("CountedPool", engine.sync_engine.pool)
    if not pulse.is_lost and (entry := pool.at_hand()) is not None:
        try:
            return await _answer(entry.driver_connection, statement, values)
        finally:
            await pool.give_back(entry)
    async with pulse.watched():
        lent = await greenlet_spawn(engine.sync_engine.raw_connection)
    try:
        return await _answer(lent.driver_connection, statement, values)
    finally:
        await greenlet_spawn(lent.close if is_usable(lent.driver_connection) else lent.invalidate)


async def _answer(driver: Any, statement: LiteralString, values: Mapping[str, Any]) -> list[Any]:
    connection: PatientConnection = driver
    if not connection.autocommit:
        await connection.set_autocommit(True)
    cursor = connection.kept_cursor(statement)
    await cursor.execute(statement, values, prepare=True)
    rows = await cursor.fetchall()
    if len(rows) > MOST_KEPT:
        await cursor.close()  # it would keep them until the next statement here
    return rows


async def _repeated(work: Callable[[], Awaitable[Result]]) -> Result:
    with told_in_our_words():
        for attempt in range(1, TRIES):
            try:
                return await work()
            except Exception as error:
                if not is_repeatable(error):
                    raise
            await asyncio.sleep(RETRY_SECONDS * attempt * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret
        return await work()
