"""Many callers, one statement: what arrives while a batch is under way goes into the next one."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

MAX_BATCH: Final = 500
"""Larger statements were not faster, and hold their row locks longer."""

CALLERS_PATIENCE: Final = 0.25
"""How long a request waits for the statement of others before it goes beside it."""


class Batch(Generic[Item, Answer]):
    """Calls `flush` with all items that wait; answers come in the order of the items.

    An idle batch flushes at once, so a lone item waits for nobody. What `flush` raises reaches
    every caller of that batch; an answer that is an exception is raised to its own caller alone.
    An item that comes when a flush has taken `patience` seconds begins another beside it, with all
    that wait: one connection that hangs holds up nobody else.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[Item]], Awaitable[Sequence[Answer | Exception]]],
        patience: float = math.inf,
    ) -> None:
        self._flush = flush
        self._patience = patience
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._flushing: list[asyncio.Task[None]] = []
        self._began = 0.0

    async def __call__(self, item: Item) -> Answer:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((item, future))
        self._flushing = [task for task in self._flushing if not task.done()]
        if not self._flushing or loop.time() - self._began >= self._patience:
            self._began = loop.time()
            self._flushing.append(asyncio.create_task(self._flush_all()))
        return await future

    async def _flush_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            self._began = asyncio.get_running_loop().time()
            await self._flush_one(batch)

    async def _flush_one(self, batch: Sequence[tuple[Item, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._flush([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - it is handed to every caller
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
