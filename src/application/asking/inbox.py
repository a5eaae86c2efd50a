"""The notices that one subscriber has not read yet, bounded."""

import asyncio
from collections.abc import Iterable
from typing import Final

from application.ports.notifier import Notice, Reconnected, Wanted, every

MOST_WAITING: Final = 10_000


class Inbox:
    """Subscription. A reader that falls behind by MOST_WAITING is told to look at all instead."""

    def __init__(self, wanted: Wanted = every) -> None:
        self._wanted = wanted
        self._waiting: set[Notice] = set()
        self._arrived = asyncio.Event()

    def put(self, notices: Iterable[Notice]) -> None:
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
