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

from sqlalchemy import event, exc
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry
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
        rested = time.monotonic() - entry.info.get(_RETURNED, float("inf")) > REST_SECONDS
        if not rested and not _has_news(connection):
            return
        try:
            ping(connection)
        except Exception as error:
            # All others that are as old are doubted too: the server was probably restarted.
            raise exc.InvalidatePoolError from error

    return engine


def _has_news(connection: Any) -> bool:
    """Whether something came in while nobody waited for it: a farewell, most likely."""
    libpq = connection.driver_connection.pgconn
    if libpq.status != 0:
        return True
    poll = select.poll()
    poll.register(libpq.socket, select.POLLIN)
    return bool(poll.poll(0))
