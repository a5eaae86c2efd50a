"""pgqueuer as its documentation runs it: asyncpg, one entrypoint, drained in batches."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import asyncpg  # type: ignore[import-untyped]  # it has no types
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.qm import QueueManager
from pgqueuer.queries import Queries
from pgqueuer.types import QueueExecutionMode

from benchmarks.queue.contender import Burn

SUBMIT_BATCH = 1000


@dataclass(frozen=True)
class PgQueuer:
    batch: int

    @property
    def name(self) -> str:
        return f"pgqueuer, batches of {self.batch}"

    async def prepare(self, url: str) -> None:
        connection = await asyncpg.connect(url)
        await Queries(AsyncpgDriver(connection)).install()
        await connection.close()

    async def submit(self, url: str, jobs: int, connections: int) -> float:
        async with asyncpg.create_pool(url, min_size=connections, max_size=connections) as pool:
            queries, left = Queries(AsyncpgPoolDriver(pool)), iter(range(jobs))

            async def client() -> None:
                for _ in left:
                    await queries.enqueue("noop", b"{}")

            began = time.monotonic()
            await asyncio.gather(*(client() for _ in range(connections)))
            return time.monotonic() - began

    async def submit_batch(self, url: str, jobs: int) -> float:
        connection = await asyncpg.connect(url)
        queries, size = Queries(AsyncpgDriver(connection)), SUBMIT_BATCH
        began = time.monotonic()
        for _ in range(0, jobs, size):
            await queries.enqueue(["noop"] * size, [b"{}"] * size, [0] * size)
        seconds = time.monotonic() - began
        await connection.close()
        return seconds

    def burn(self, url: str, worker: int) -> Burn:
        async def run(ready: Callable[[], object]) -> None:
            connection = await asyncpg.connect(url)
            manager = QueueManager(Queries(AsyncpgDriver(connection)))

            @manager.entrypoint("noop")
            async def noop(job: Job) -> None:
                pass

            ready()
            await manager.run(
                dequeue_timeout=timedelta(seconds=1),
                batch_size=self.batch,
                mode=QueueExecutionMode.drain,
            )
            await connection.close()

        return run
