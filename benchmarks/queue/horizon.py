"""Claims beside another client's transaction that is held open: how far they fall, and that they heal."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg

from adapters.postgres.engine import Database
from adapters.postgres.job_queue import PostgresJobQueue
from adapters.postgres.worker_registry import PostgresWorkerRegistry
from adapters.system.clock import SystemChance
from application.ports.job_queue import Report
from benchmarks.queue.ours import DONE, noop
from domain.worker import LeaseTerms, Worker

BATCH = 100
PACE = 300
"""Jobs a second of a busy day."""


class Load:
    """One worker that submits, claims and reports; `rate` jobs a second, or as fast as it goes."""

    def __init__(self, url: str) -> None:
        self._database, chance = Database(url, pool_size=3), SystemChance()
        self._queue, self._session_id = PostgresJobQueue(self._database, chance), chance.new_id()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        us = Worker(id=self._session_id, host="benchmark", pid=1, version="0", slots=BATCH)
        await PostgresWorkerRegistry(self._database).join(us, LeaseTerms(seconds=36000))
        yield
        await self._database.close()

    async def full(self, seconds: float) -> float:
        """Jobs a second."""
        began, done = time.monotonic(), 0
        while time.monotonic() - began < seconds:
            done += await self._turn(BATCH)
        return done / (time.monotonic() - began)

    async def paced(self, seconds: float) -> float:
        """The 99th percentile of a turn of ten jobs, in seconds, at `PACE` jobs a second."""
        turns, began = [], time.monotonic()
        while time.monotonic() - began < seconds:
            turn = time.monotonic()
            await self._turn(10)
            turns.append(time.monotonic() - turn)
            await asyncio.sleep(max(0.0, 10 / PACE - turns[-1]))
        return statistics.quantiles(turns, n=100)[98]

    async def _turn(self, size: int) -> int:
        await self._queue.submit([noop() for _ in range(size)])
        jobs = await self._queue.claim(self._session_id, size)
        await self._queue.report([Report(job_id=job.id, fence=job.fence, ending=DONE) for job in jobs])
        return len(jobs)


@asynccontextmanager
async def held_open(url: str) -> AsyncIterator[None]:
    async with await psycopg.AsyncConnection.connect(url) as other:
        await other.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        await other.execute("SELECT 1")
        yield
        await other.rollback()


async def measure(url: str, seconds: float) -> None:
    """Prints each figure as it comes. Half of `seconds` of the open transaction go to each load."""
    load = Load(url)
    async with load.open():
        await load.full(3)
        before, calm = await load.full(10), await load.paced(5)
        async with held_open(url):
            busy = await load.paced(seconds / 2)
            during = [await load.full(seconds / 6) for _ in range(3)]
        healed = [await load.full(5) for _ in range(3)]
    print(
        f"turn of 10 jobs at {PACE} jobs/s, p99: alone {calm * 1000:.0f} ms, beside it {busy * 1000:.0f} ms"
    )
    print(f"full load: before {before:,.0f} jobs/s; beside it, by thirds, " + _rates(during))
    print(
        f"  in the 15 s after it, by thirds, {_rates(healed)}; healed to {healed[-1] / before:.2f} of before"
    )


def _rates(rates: list[float]) -> str:
    return ", ".join(f"{rate:,.0f}" for rate in rates) + " jobs/s"
