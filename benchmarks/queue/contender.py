"""How every contender is measured: the same work, the same server, processes that start together."""

import asyncio
import multiprocessing
import time
from collections.abc import Callable, Coroutine
from multiprocessing.synchronize import Barrier
from typing import Protocol

Burn = Callable[[Callable[[], object]], Coroutine[None, None, None]]


class Contender(Protocol):
    """A queue under measurement. Each call opens what it needs and closes it again."""

    @property
    def name(self) -> str: ...

    async def prepare(self, url: str) -> None:
        """Makes its schema in an empty database."""

    async def submit(self, url: str, jobs: int, connections: int) -> float:
        """Submits one by one over so many connections at once; returns seconds."""

    async def submit_batch(self, url: str, jobs: int) -> float:
        """Submits as its documentation does it in bulk; returns seconds."""

    def burn(self, url: str, worker: int) -> Burn:
        """A worker that runs no-op jobs until none is left. It calls its argument once connected."""


def together(contender: Contender, url: str, workers: int) -> float:
    """Seconds from the moment when all worker processes are ready until the last one has ended."""
    # Not fork: the parent has threads and an event loop of its own.
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(workers + 1)
    processes = [context.Process(target=_work, args=(contender, url, w, barrier)) for w in range(workers)]
    for process in processes:
        process.start()
    barrier.wait(60)
    began = time.monotonic()
    for process in processes:
        process.join()
    seconds = time.monotonic() - began
    if any(codes := [process.exitcode for process in processes]):
        raise SystemExit(
            f"{contender.name}: a worker failed (exit statuses {codes}); its traceback stands above"
        )
    return seconds


def _work(contender: Contender, url: str, worker: int, barrier: Barrier) -> None:
    asyncio.run(contender.burn(url, worker)(lambda: barrier.wait(60)))
