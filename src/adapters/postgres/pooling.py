"""A pool whose connections are tried only when there is reason to doubt them.

A trial before every use (`pool_pre_ping`) cost a round trip a statement. A server that ended a
connection has written to its socket, so a look at the socket tells, without a round trip; what a look
cannot tell (a firewall that forgot us) only happens to connections that rested.
"""

import select
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from psycopg.pq import TransactionStatus
from sqlalchemy import event, exc
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry
from sqlalchemy.util import greenlet_spawn
from sqlalchemy.util.queue import Empty

REST_SECONDS: Final = 1.0
_RETURNED: Final = "returned_at"


class CountedPool(AsyncAdaptedQueuePool):
    """A pool that knows how many wait for a connection, be it for a free one or for a new one."""

    waiting = 0
    _is_disposed = False

    def dispose(self) -> None:
        self._is_disposed = True
        super().dispose()

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        """One that comes back after the end is closed: nobody would ever take it from here again."""
        if self._is_disposed:
            record.close()
        else:
            super()._do_return_conn(record)

    def _do_get(self) -> ConnectionPoolEntry:
        """A free one at once, if nobody is overtaken: the wait of a pool that has made all its connections
        takes a task and a timer even where there is nothing to wait for.
        """
        if not self.waiting:
            with suppress(Empty):
                return self._pool.get_nowait()
        self.waiting += 1
        try:
            return super()._do_get()
        finally:
            self.waiting -= 1

    def at_hand(self) -> ConnectionPoolEntry | None:
        """A free one that there is no reason to doubt, for whoever gives it back by `give_back`; None where
        `connect` must be asked, which costs as much as a short statement: proxies, events, a greenlet.
        """
        with suppress(Empty):
            entry = self._pool.get_nowait()
            if self._is_trusted(entry):
                return entry
            self._pool.put_nowait(entry)
        return None

    async def give_back(self, entry: ConnectionPoolEntry) -> None:
        """A connection that broke, or whose statement was cancelled half-way, is ended."""
        entry.info[_RETURNED] = time.monotonic()
        if is_usable(entry.driver_connection) and not self._is_disposed:
            self._do_return_conn(entry)
        else:
            await greenlet_spawn(self._end, entry)

    def _end(self, entry: ConnectionPoolEntry) -> None:
        try:
            entry.invalidate()
        finally:
            self._do_return_conn(entry)

    def _is_trusted(self, entry: Any) -> bool:
        """None is that was made before the pool was last doubted as a whole."""
        if entry.dbapi_connection is None or entry.last_connect_time < self._invalidate_time:
            return False
        return not _is_doubtful(entry)


def pooled(connect: Callable[[], Awaitable[Any]], size: int, seconds: float) -> AsyncEngine:
    """An engine of `size` connections, of which whoever waits for one waits `seconds` at most."""
    engine = create_async_engine(
        "postgresql+psycopg://",
        async_creator=connect,
        poolclass=CountedPool,
        pool_size=size,
        max_overflow=0,
        pool_timeout=seconds,
        pool_use_lifo=True,
        skip_autocommit_rollback=True,
        hide_parameters=True,  # an error's text reaches the logs, and a job's environment is among them
    )
    ping = engine.sync_engine.dialect.do_ping

    @event.listens_for(engine.sync_engine, "checkin")
    def note(_: Any, entry: ConnectionPoolEntry) -> None:
        entry.info[_RETURNED] = time.monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def try_it(connection: Any, entry: ConnectionPoolEntry, _: Any) -> None:
        if not _is_doubtful(entry):
            return
        try:
            ping(connection)
        except Exception as error:
            # All others that are as old are doubted too: the server was probably restarted.
            raise exc.InvalidatePoolError from error

    return engine


def is_usable(connection: Any) -> bool:
    """Whether nothing is under way on it."""
    return bool(connection.pgconn.transaction_status == TransactionStatus.IDLE)


def _is_doubtful(entry: Any) -> bool:
    rested = time.monotonic() - entry.info.get(_RETURNED, float("inf")) > REST_SECONDS
    return rested or _has_news(entry.driver_connection.pgconn)


def _has_news(libpq: Any) -> bool:
    """Whether something came in while nobody waited for it: a farewell, most likely."""
    if libpq.status != 0:
        return True
    poll = select.poll()
    poll.register(libpq.socket, select.POLLIN)
    return bool(poll.poll(0))
