"""A place inside a transaction: writes were made, nothing is committed, and everybody waits for the test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from tests.faults.waiting import until

KEY = 4711
TRAP = f"""
CREATE OR REPLACE FUNCTION etl.stall() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_advisory_xact_lock_shared({KEY}); RETURN NULL; END $$;
"""
WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted"


@dataclass
class Stall:
    connection: psycopg.AsyncConnection[Any]

    async def reached(self) -> None:
        async def waits() -> bool:
            row = await (await self.connection.execute(WAITING, (KEY,))).fetchone()
            return row is not None and row[0] > 0

        await until(waits)

    async def release(self) -> None:
        await self.connection.execute(f"SELECT pg_advisory_unlock({KEY})")


@asynccontextmanager
async def stalled(url: str, write: str) -> AsyncIterator[Stall]:
    """Whoever does `write` (as in `INSERT ON etl.attempt`) stops right after it, until `release`."""
    connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
    try:
        await connection.execute(f"SELECT pg_advisory_lock({KEY})")
        await connection.execute(TRAP)
        trigger = f"CREATE TRIGGER stall AFTER {write} FOR EACH STATEMENT EXECUTE FUNCTION etl.stall()"
        await connection.execute(trigger)
        yield Stall(connection)
    finally:
        await connection.close()
