"""From a submit to the claim of a worker that was idle, over LISTEN and NOTIFY."""

import asyncio
import time
from collections.abc import Sequence
from uuid import UUID

from adapters.postgres.engine import Database
from adapters.postgres.job_queue import PostgresJobQueue
from adapters.postgres.notifier import PostgresNotifier
from adapters.postgres.worker_registry import PostgresWorkerRegistry
from adapters.system.clock import SystemChance
from application.ports.job_queue import Report
from application.ports.notifier import JobsWaiting, Notice
from benchmarks.queue.ours import DONE, noop
from domain.job import Job
from domain.worker import LeaseTerms, Worker


async def measure(url: str, times: int) -> list[float]:
    """Seconds from before the submit until after the claim, each with everything idle before."""
    database, chance = Database(url, pool_size=4), SystemChance()
    queue, session_id = PostgresJobQueue(database, chance), chance.new_id()
    caller, notifier = PostgresNotifier(url), PostgresNotifier(url)  # a process tells itself directly
    us = Worker(id=session_id, host="benchmark", pid=1, version="0", slots=1)
    await PostgresWorkerRegistry(database).join(us, LeaseTerms(seconds=3600))
    await caller.open()
    await notifier.open()
    delays = []
    async with notifier.subscribe() as notices:
        for _ in range(times):
            await asyncio.sleep(0.02)
            began = time.monotonic()
            submitted = asyncio.create_task(_submit(queue, caller))
            while not (jobs := await _claimed(queue, session_id, await notices.wait(1))):
                pass
            delays.append(time.monotonic() - began)
            await submitted
            await queue.report([Report(job_id=job.id, fence=job.fence, ending=DONE) for job in jobs])
    await caller.close()
    await notifier.close()
    await database.close()
    return delays


async def _submit(queue: PostgresJobQueue, notifier: PostgresNotifier) -> None:
    await queue.submit([noop()])
    notifier.publish(JobsWaiting("default"))


async def _claimed(queue: PostgresJobQueue, session_id: UUID, heard: frozenset[Notice]) -> Sequence[Job]:
    return await queue.claim(session_id, 1) if JobsWaiting("default") in heard else []
