"""Leadership as a session advisory lock: it ends with the connection that took it, whatever ends that."""

import asyncio
import contextlib
from typing import Final

import psycopg

from adapters.postgres.connecting import PatientConnection, conninfo

LOCK: Final = 0x65746C02
"""`etl` and 02; 01 is that of migrations."""

ANSWER_SECONDS: Final = 5.0
_LOST: Final = (psycopg.Error, OSError)

# The user timeout is for an answer that was on its way: no keepalive is sent while one is not acknowledged.
_KEEPALIVE: Final = (
    "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3 -c tcp_user_timeout=10s"
)
_HOLD: Final = """
SELECT EXISTS (
    SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()
    AND classid = 0 AND objid = %(lock)s AND objsubid = 1
) OR pg_try_advisory_lock(%(lock)s)
"""


class PostgresLeadership:
    """Leadership. Has a connection of its own, straight to the server: such a lock does not survive a
    pooler that shares connections between transactions.
    """

    def __init__(self, url: str) -> None:
        # Without keepalive settings of the server a leader whose machine vanished would lead for hours.
        self._conninfo = conninfo(url, options=f"-c statement_timeout={ANSWER_SECONDS:g}s {_KEEPALIVE}")
        self._connection: PatientConnection | None = None
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Nothing to do: the first campaign connects."""

    async def close(self) -> None:
        await self.resign()
        async with self._turn:
            await self._hang_up()

    async def campaign(self) -> bool:
        """One round trip: the lock may be taken again by the session that has it, so it is only asked for
        where this session does not hold it.
        """
        async with self._turn:
            try:
                return await self._campaign()
            except _LOST:
                await self._hang_up()
                return False

    async def resign(self) -> None:
        async with self._turn:
            with contextlib.suppress(*_LOST):
                if self._connection is not None:
                    await self._connection.execute("SELECT pg_advisory_unlock_all()")
                    return
            await self._hang_up()

    async def _campaign(self) -> bool:
        if self._connection is None:
            self._connection = await PatientConnection.connect(self._conninfo, autocommit=True)
            self._connection.answer_seconds = ANSWER_SECONDS
        row = await (await self._connection.execute(_HOLD, {"lock": LOCK})).fetchone()
        return row is not None and bool(row[0])

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*_LOST):
                await connection.close()
