"""How often an event loop wakes while nothing happens."""

import asyncio
import selectors
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

WATCHED_SECONDS = 3.0


class Counting(selectors.DefaultSelector):
    looks = 0

    def select(self, timeout: float | None = None) -> Any:
        self.looks += timeout is None or timeout > 0
        return super().select(timeout)


def wakes_a_second(opened: Callable[[], AbstractAsyncContextManager[Any]]) -> float:
    """In a loop of its own, while what `opened` keeps open is at rest."""
    selector = Counting()

    async def watched() -> int:
        async with opened():
            before = selector.looks
            await asyncio.sleep(WATCHED_SECONDS)  # the rest itself is what is looked at
            return selector.looks - before

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        return runner.run(watched()) / WATCHED_SECONDS
