"""Wake-ups by LISTEN and NOTIFY. Hints only: everybody who listens also polls.

NOTIFY goes over a connection of its own, after the commit that it tells of, several notices at once:
inside the submitting transaction it takes one lock for the whole server (14,000 submits/s became 5,000).
This process's own subscriptions are told directly, and do not wait for the server.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

import psycopg
import structlog

from adapters.postgres.connecting import PatientConnection, conninfo
from adapters.postgres.notices import parse, payloads
from adapters.postgres.subscriptions import Subscriptions
from application.ports.notifier import Notice, Reconnected, Subscription, Wanted, every

CHANNEL: Final = "etl"
COALESCE_SECONDS: Final = 0.005
BUSY_SECONDS: Final = 0.02
"""While notices come one after the other, each round trip takes more of them along."""
ANSWER_SECONDS: Final = 5.0
PING_SECONDS: Final = 15.0
"""A LISTEN on a half-open connection gives no error and no notice, for ever: so it is asked."""
BACKOFF_SECONDS: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
MAX_OUTBOX: Final = 10_000
_TELL: Final = "SELECT pg_notify(%s, %s)"
_LOST: Final = (psycopg.Error, OSError)

_log = structlog.get_logger("notifier")


class PostgresNotifier:
    """Notifier. One connection listens and one tells, whatever the number of subscriptions."""

    def __init__(self, url: str, *, ping_seconds: float = PING_SECONDS) -> None:
        self._conninfo = conninfo(url)
        self._ping_seconds = ping_seconds
        self._subscriptions = Subscriptions()
        self._outbox: dict[Notice, None] = {}
        self._own_pid = 0
        self._something = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Returns once it listens, or has seen that the server is away and goes on trying."""
        if self._tasks:
            return
        tried = asyncio.Event()
        self._tasks = [
            asyncio.create_task(self._for_ever("listen", self._listen, tried.set)),
            asyncio.create_task(self._for_ever("tell", self._tell, lambda: None)),
        ]
        await tried.wait()

    async def close(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def publish(self, *notices: Notice) -> None:
        if not notices:
            return
        self._subscriptions.put(frozenset(notices))
        if len(self._outbox) + len(notices) > MAX_OUTBOX:
            self._outbox.clear()
            notices = (Reconnected(),)
        self._outbox.update(dict.fromkeys(notices))
        self._something.set()

    @asynccontextmanager
    async def subscribe(self, wanted: Wanted = every) -> AsyncIterator[Subscription]:
        with self._subscriptions.new(wanted) as subscription:
            yield subscription

    async def _for_ever(
        self,
        what: str,
        life: Callable[[Callable[[], None]], Coroutine[Any, Any, None]],
        tried: Callable[[], None],
    ) -> None:
        """One connection's life after another. One line when it is lost and one when it is back."""
        failures = 0

        def well() -> None:
            nonlocal failures
            if failures:
                _log.info("notifier_reconnected", connection=what, failures=failures)
            failures = 0
            tried()

        while True:
            try:
                await life(well)
            except _LOST as error:
                if not failures:
                    _log.warning("notifier_disconnected", connection=what, error=type(error).__name__)
                failures += 1
            tried()
            pause = BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS)) - 1]
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret

    async def _listen(self, well: Callable[[], None]) -> None:
        async with await self._connected() as connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            # Whatever was told while nobody listened is lost: whoever subscribed must look.
            self._subscriptions.put(frozenset({Reconnected()}))
            well()
            while True:
                async for notify in connection.notifies(timeout=self._ping_seconds):
                    if notify.pid != self._own_pid:
                        self._subscriptions.put(parse(notify.payload))
                await connection.execute("SELECT 1")

    async def _tell(self, well: Callable[[], None]) -> None:
        async with await self._connected() as connection:
            await connection.execute("SET synchronous_commit = off")  # a hint waits for no disk
            well()
            self._own_pid = connection.info.backend_pid
            while True:
                pause = BUSY_SECONDS
                if not self._outbox:
                    self._something.clear()
                    await self._something.wait()
                    pause = COALESCE_SECONDS
                await self._flush(connection)
                # The first notice goes at once; what comes within this time goes together.
                await asyncio.sleep(pause)

    async def _flush(self, connection: PatientConnection) -> None:
        """What could not be told stays in the outbox: telling twice does no harm."""
        notices = tuple(self._outbox)
        for payload in payloads(notices):
            await connection.kept_cursor(_TELL).execute(_TELL, (CHANNEL, payload), prepare=True)
        for notice in notices:
            self._outbox.pop(notice, None)

    async def _connected(self) -> PatientConnection:
        connection = await PatientConnection.connect(self._conninfo, autocommit=True)
        connection.answer_seconds = max(ANSWER_SECONDS, 2 * self._ping_seconds)
        return connection
