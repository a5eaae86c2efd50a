"""Wake-ups within one process: every notifier on the same records hears every other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from adapters.memory.records import Records
from application.ports.notifier import Notice, Reconnected, Subscription, Wanted, every

MOST_WAITING: Final = 10_000


class MemoryNotifier:
    """Notifier."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def publish(self, *notices: Notice) -> None:
        for inbox in self._records.inboxes:
            for notice in notices:
                inbox.put(notice)

    @asynccontextmanager
    async def subscribe(self, wanted: Wanted = every) -> AsyncIterator[Subscription]:
        subscription = MemorySubscription(wanted)
        self._records.inboxes.add(subscription)
        try:
            yield subscription
        finally:
            self._records.inboxes.remove(subscription)


class MemorySubscription:
    """Subscription. A reader that falls behind by MOST_WAITING is told to look again instead."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._waiting: set[Notice] = set()
        self._arrived = asyncio.Event()

    def put(self, notice: Notice) -> None:
        if not (self._wanted(notice) or isinstance(notice, Reconnected)):
            return
        if len(self._waiting) >= MOST_WAITING:
            self._waiting = {Reconnected()}
        self._waiting.add(notice)
        self._arrived.set()

    async def wait(self, seconds: float) -> frozenset[Notice]:
        try:
            async with asyncio.timeout(seconds):
                await self._arrived.wait()
        except TimeoutError:
            return frozenset()
        notices, self._waiting = frozenset(self._waiting), set()
        self._arrived.clear()
        return notices
