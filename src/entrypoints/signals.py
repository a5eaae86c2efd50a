"""What SIGTERM and SIGINT ask of a process."""

import asyncio
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class Signals:
    """The first asks to drain, the second to stop at once."""

    def __init__(self) -> None:
        self.drain = asyncio.Event()
        self.stop = asyncio.Event()

    def received(self) -> None:
        (self.stop if self.drain.is_set() else self.drain).set()

    async def unless_drained(self, start: Coroutine[Any, Any, T]) -> T | None:
        """A signal in the middle of a start ends it."""
        starting = asyncio.create_task(start)
        asked = asyncio.create_task(self.drain.wait())
        try:
            await asyncio.wait([starting, asked], return_when=asyncio.FIRST_COMPLETED)
            return starting.result() if starting.done() else None
        finally:
            for task in (starting, asked):
                task.cancel()
            await asyncio.gather(starting, asked, return_exceptions=True)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.received)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
