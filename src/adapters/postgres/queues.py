"""Named queues: their settings, and what is in them."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres import limits, parking
from adapters.postgres.engine import Database
from domain.errors import QueueNotFound
from domain.queue import Queue

EXPENSIVE_SECONDS: Final = 0.1
REST: Final = 9
"""How many times longer than it was counted the count is told."""

_READ: Final = text("""
SELECT s.name, s.slots, s.paused_at, s.paused_by, coalesce(c.waiting, 0) AS waiting,
    coalesce(c.scheduled, 0) AS scheduled, coalesce(c.running, 0) AS running, c.oldest_waiting_since
FROM etl.queue s LEFT JOIN (
    SELECT queue, count(*) FILTER (WHERE state <> 'running' AND due_at <= statement_timestamp()) AS waiting,
        count(*) FILTER (WHERE state <> 'running' AND due_at > statement_timestamp()) AS scheduled,
        count(*) FILTER (WHERE state = 'running') AS running,
        min(greatest(submitted_at, not_before))
            FILTER (WHERE state <> 'running' AND due_at <= statement_timestamp()) AS oldest_waiting_since
    FROM etl.job_queue WHERE CAST(:name AS text) IS NULL OR queue = :name GROUP BY queue
) c ON c.queue = s.name
WHERE CAST(:name AS text) IS NULL OR s.name = :name ORDER BY s.name COLLATE "C"
""")
_PAUSE: Final = text("""
UPDATE etl.queue SET paused_at = clock_timestamp(), paused_by = :by WHERE name = :name AND paused_at IS NULL
""")
_RESUME: Final = text("UPDATE etl.queue SET paused_at = NULL, paused_by = NULL WHERE name = :name")
_SET_SLOTS: Final = text("""
INSERT INTO etl.queue (name, slots) VALUES (:name, :slots)
ON CONFLICT (name) DO UPDATE SET slots = excluded.slots
""")


class Counted:
    """All queues, counted exactly, and never with more than a tenth of one connection's time: what
    took 0.3 s to count (a million waiting jobs) is answered again for 3 s. Settings may be as old.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._found: Sequence[Queue] = ()
        self._good_until = 0.0
        self._turn = asyncio.Lock()

    async def read(self) -> Sequence[Queue]:
        async with self._turn:
            if time.monotonic() < self._good_until:
                return self._found
            began = time.monotonic()
            self._found = await self._database.run(read)
            took = time.monotonic() - began
            self._good_until = time.monotonic() + REST * took if took > EXPENSIVE_SECONDS else 0.0
            return self._found

    def forget(self) -> None:
        """Something was changed in this process, which must be seen."""
        self._good_until = 0.0


async def read(connection: AsyncConnection, name: str | None = None) -> Sequence[Queue]:
    rows = await connection.execute(_READ, {"name": name})
    return [Queue(**row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's public name for it


async def pause(connection: AsyncConnection, name: str, by: str) -> Queue:
    # Claims in flight are waited for: when this has returned, no later claim is from this queue.
    await limits.exclude(connection, limits.queue_scope(name))
    await connection.execute(_PAUSE, {"name": name, "by": by})
    return await _one(connection, name)


async def resume(connection: AsyncConnection, name: str) -> Queue:
    await connection.execute(_RESUME, {"name": name})
    return await _one(connection, name)


async def set_slots(connection: AsyncConnection, name: str, slots: int | None) -> Queue:
    """Counts what runs into the new limit: no claim is in flight while this holds its lock."""
    scope = limits.queue_scope(name)
    await limits.exclude(connection, scope)
    await connection.execute(_SET_SLOTS, {"name": name, "slots": slots})
    await parking.count_again(connection, scope, slots or 0)
    await parking.unpark_all(connection, scope)
    return await _one(connection, name)


async def _one(connection: AsyncConnection, name: str) -> Queue:
    found = await read(connection, name)
    if not found:
        raise QueueNotFound(f"There is no queue {name!r}.")
    return found[0]
