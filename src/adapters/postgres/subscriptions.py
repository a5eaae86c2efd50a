"""Who listens in this process. What one of them does not read is bounded."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from application.ports.notifier import Notice, Reconnected, Wanted, every

MOST_WAITING: Final = 10_000


class PostgresSubscription:
    """Subscription. A reader that falls far behind is told to look at all instead."""

    def __init__(self, wanted: Wanted = every) -> None:
        self._wanted = wanted
        self._waiting: set[Notice] = set()
        self._arrived = asyncio.Event()

    def put(self, notices: frozenset[Notice]) -> None:
        heard = {notice for notice in notices if self._wanted(notice) or isinstance(notice, Reconnected)}
        if not heard:
            return
        if len(self._waiting) + len(heard) > MOST_WAITING:
            self._waiting = {Reconnected()}
        else:
            self._waiting |= heard
        self._arrived.set()

    async def wait(self, seconds: float) -> frozenset[Notice]:
        try:
            async with asyncio.timeout(seconds):
                await self._arrived.wait()
        except TimeoutError:
            return frozenset()
        self._arrived.clear()
        notices, self._waiting = frozenset(self._waiting), set()
        return notices


class Subscriptions:
    """All of them; each gets the notices that it wants."""

    def __init__(self) -> None:
        self._all: set[PostgresSubscription] = set()

    def put(self, notices: frozenset[Notice]) -> None:
        for subscription in self._all:
            subscription.put(notices)

    @contextmanager
    def new(self, wanted: Wanted) -> Iterator[PostgresSubscription]:
        subscription = PostgresSubscription(wanted)
        self._all.add(subscription)
        try:
            yield subscription
        finally:
            self._all.discard(subscription)
