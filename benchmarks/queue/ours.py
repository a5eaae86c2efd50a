"""Our queue through its port, as workers use it: a session, a lease, a fence, an event for each change."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from adapters.postgres.engine import Database
from adapters.postgres.job_queue import PostgresJobQueue
from adapters.postgres.migrate import migrate
from adapters.postgres.worker_registry import PostgresWorkerRegistry
from adapters.system.clock import SystemChance
from application.ports.job_queue import Claim, Report
from benchmarks.queue.contender import Burn
from domain.attempt import Exit, Usage, judge
from domain.command import Command
from domain.job import Job, new_job
from domain.job_spec import JobSpec
from domain.policy import ConcurrencyLimit
from domain.worker import LeaseTerms, Worker

DONE = judge(Exit(exit_code=0, usage=Usage(wall_seconds=0.1, cpu_seconds=0.1, max_rss_bytes=1)), 60)
SUBMIT_BATCH = 1000
UNDER_WAY = 2
"""Batches that are run and reported at once. The peers put no bound on it."""


def noop(key: ConcurrencyLimit | None = None) -> Job:
    spec = JobSpec(
        command=Command(script="noop.py"), timeout_seconds=60, stop_grace_seconds=1, concurrency=key
    )
    return new_job(SystemChance().new_id(), spec, datetime.now(UTC), "benchmark")


@dataclass(frozen=True)
class Ours:
    """`starts`: records each start before its program would be executed, as the worker does."""

    batch: int
    starts: bool = False

    @property
    def name(self) -> str:
        return f"etl, {'with starts, ' * self.starts}batches of {self.batch}"

    async def prepare(self, url: str) -> None:
        await migrate(url)

    async def submit(self, url: str, jobs: int, connections: int) -> float:
        database = Database(url, pool_size=connections)
        queue, left = PostgresJobQueue(database, SystemChance()), iter(range(jobs))

        async def client() -> None:
            for _ in left:
                await queue.submit([noop()])

        await database.open()
        began = time.monotonic()
        await asyncio.gather(*(client() for _ in range(connections)))
        seconds = time.monotonic() - began
        await database.close()
        return seconds

    async def submit_batch(self, url: str, jobs: int) -> float:
        database = Database(url)
        queue = PostgresJobQueue(database, SystemChance())
        await database.open()
        began = time.monotonic()
        for _ in range(0, jobs, SUBMIT_BATCH):
            await queue.submit([noop() for _ in range(SUBMIT_BATCH)])
        seconds = time.monotonic() - began
        await database.close()
        return seconds

    def burn(self, url: str, worker: int) -> Burn:
        async def run(ready: Callable[[], object]) -> None:
            database, chance = Database(url, pool_size=1 + UNDER_WAY), SystemChance()
            queue, session_id = PostgresJobQueue(database, chance), chance.new_id()
            us = Worker(id=session_id, host="benchmark", pid=worker, version="0", slots=self.batch)
            await PostgresWorkerRegistry(database).join(us, LeaseTerms(seconds=3600))
            ready()
            await self._until_empty(queue, session_id)
            await database.close()

        return run

    async def _until_empty(self, queue: PostgresJobQueue, session_id: UUID) -> None:
        """The next claim is under way while the last ones are reported, as in a worker with slots."""
        free, reporting = asyncio.Semaphore(UNDER_WAY), set[asyncio.Task[None]]()
        while jobs := await queue.claim(session_id, self.batch):
            task = asyncio.create_task(self._run(queue, jobs))
            reporting.add(task)
            task.add_done_callback(lambda _: free.release())
            await free.acquire()
        await asyncio.gather(*reporting)

    async def _run(self, queue: PostgresJobQueue, jobs: Sequence[Job]) -> None:
        if self.starts:
            await queue.start([Claim(job_id=job.id, fence=job.fence) for job in jobs])
        await queue.report([Report(job_id=job.id, fence=job.fence, ending=DONE) for job in jobs])
