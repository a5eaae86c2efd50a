"""Whether the server lives at all: asked on a connection of its own, when an answer is late.

A statement may be slow for good reasons; a server that stalls, or a network that swallows packets, answers
nothing. Only the second is a reason to give up, and then for all who wait.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import psycopg

from application.asking.urgency import is_urgent
from domain.errors import DatabaseUnavailable

DOUBT_SECONDS: Final = 0.8
"""After so long without an answer the pulse is felt, and again for as long as there is none."""

BEAT_SECONDS: Final = 0.8
LOST_SECONDS: Final = 1.0
"""So long after a lost pulse nobody who is in a hurry tries at all."""


class Pulse:
    """Felt by everybody at once; costs nothing while answers come in time. `connect` makes a connection
    that gives up a statement after BEAT_SECONDS.
    """

    def __init__(self, connect: Callable[[], Awaitable[psycopg.AsyncConnection[Any]]]) -> None:
        self._connect = connect
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._feeling: asyncio.Task[bool] | None = None
        self._lost_until = 0.0

    @property
    def is_lost(self) -> bool:
        return time.monotonic() < self._lost_until

    def doubted(self, give_up: Callable[[], None]) -> "Doubt":
        """Calls `give_up` if it is not ended before, and the pulse is lost."""
        return Doubt(self, give_up)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Around the wait for a connection: in a hurry nobody waits for one of a server that does not answer.
        Raises DatabaseUnavailable, TimeoutError.
        """
        if not is_urgent():
            yield
            return
        if self.is_lost:
            raise DatabaseUnavailable("The database does not answer at the moment.")
        async with asyncio.timeout(None) as limit:
            doubt = self.doubted(lambda: limit.reschedule(asyncio.get_running_loop().time()))
            try:
                yield
            finally:
                doubt.end()

    async def beats(self) -> bool:
        if self._feeling is None or self._feeling.done():
            self._feeling = asyncio.create_task(self._feel(), name="pulse")
        return await asyncio.shield(self._feeling)

    async def stop(self) -> None:
        """May be called again."""
        if self._feeling is not None:
            self._feeling.cancel()
            await asyncio.gather(self._feeling, return_exceptions=True)
        await self._drop()

    async def _feel(self) -> bool:
        try:
            if self._connection is None or self._connection.closed:
                async with asyncio.timeout(BEAT_SECONDS):
                    self._connection = await self._connect()
            await self._connection.execute("SELECT 1")
        except (TimeoutError, OSError, psycopg.Error):
            self._lost_until = time.monotonic() + LOST_SECONDS
            await self._drop()
            return False
        return True

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


class Doubt:
    """One wait for an answer."""

    def __init__(self, pulse: Pulse, give_up: Callable[[], None]) -> None:
        self._pulse, self._give_up = pulse, give_up
        self._timer = asyncio.get_running_loop().call_later(DOUBT_SECONDS, self._begin)
        self._watch: asyncio.Task[None] | None = None

    def end(self) -> None:
        self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()

    def _begin(self) -> None:
        self._watch = asyncio.create_task(self._watched())

    async def _watched(self) -> None:
        while True:
            if not await self._pulse.beats():
                return self._give_up()
            await asyncio.sleep(DOUBT_SECONDS)
