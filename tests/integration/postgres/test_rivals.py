"""Many processes' worth of connections at one queue: every job once, no limit exceeded, nothing forgotten."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from sqlalchemy import text

from adapters.postgres.engine import Database
from adapters.postgres.job_queue import PostgresJobQueue
from adapters.postgres.worker_registry import PostgresWorkerRegistry
from adapters.system.clock import SystemChance
from domain.job import Job
from tests.builders import TERMS, a_worker, jobs, keyed, report_of

RIVALS = 20


@pytest.fixture
async def databases(database_url: str) -> AsyncIterator[list[Database]]:
    async with AsyncExitStack() as stack:
        found = [Database(database_url, pool_size=1, pool_seconds=60) for _ in range(RIVALS)]
        for database in found:
            stack.push_async_callback(database.close)
        yield found


async def test_20_rivals_claim_each_of_500_jobs_exactly_once(databases: list[Database]) -> None:
    queues = [PostgresJobQueue(database, SystemChance()) for database in databases]
    submitted = jobs(500)
    await queues[0].submit(submitted)
    claimed: Counter[object] = Counter()

    async def rival(number: int) -> None:
        worker = a_worker()
        await PostgresWorkerRegistry(databases[number]).join(worker, TERMS)
        while taken := await queues[number].claim(worker.id, 1 + number % 7):
            claimed.update(job.id for job in taken)

    async with asyncio.timeout(90):
        await asyncio.gather(*(rival(number) for number in range(RIVALS)))
    assert claimed == Counter(job.id for job in submitted)


async def test_rivals_never_exceed_limits_of_queue_and_key_and_leave_nothing(
    databases: list[Database],
) -> None:
    queues = [PostgresJobQueue(database, SystemChance()) for database in databases]
    await queues[0].set_slots("default", 5)
    await queues[0].submit([*jobs(60, concurrency=keyed("sales", 2)), *jobs(60)])
    done: set[object] = set()
    faults: list[object] = []

    async def rival(number: int) -> None:
        worker = a_worker()
        await PostgresWorkerRegistry(databases[number]).join(worker, TERMS)
        while len(done) < 120:
            held = await queues[number].claim(worker.id, 2)
            faults.extend(await excess(databases[number]))
            reported: list[Job] = list(await queues[number].report([report_of(job) for job in held]))
            done.update(job.id for job in reported)
            if not held:
                await queues[number].promote()

    async with asyncio.timeout(90):
        await asyncio.gather(*(rival(number) for number in range(8)))
    assert faults == []
    async with databases[0].transaction() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM etl.job_queue"))).scalar_one() == 0
        held_units = text("SELECT count(*) FROM etl.limit_slot WHERE job_id IS NOT NULL")
        assert (await connection.execute(held_units)).scalar_one() == 0


EXCESS = text("""
SELECT 'queue' AS what, count(*) FROM etl.job_queue WHERE state = 'running' HAVING count(*) > 5
UNION ALL
SELECT 'key', count(*) FROM etl.job_queue WHERE state = 'running' AND limit_key = 'sales' HAVING count(*) > 2
""")


async def excess(database: Database) -> list[object]:
    """Limits that are broken in one snapshot of the database: the truth, whoever has been told of it."""
    async with database.transaction() as connection:
        return [tuple(row) for row in await connection.execute(EXCESS)]


async def test_a_limit_set_while_rivals_claim_counts_what_runs(databases: list[Database]) -> None:
    queues = [PostgresJobQueue(database, SystemChance()) for database in databases]
    await queues[0].submit(jobs(200))
    workers = [a_worker() for _ in range(8)]
    for number, worker in enumerate(workers):
        await PostgresWorkerRegistry(databases[number]).join(worker, TERMS)
    claims = asyncio.gather(*(queues[n].claim(w.id, 3) for n, w in enumerate(workers)))
    claimed, _ = await asyncio.gather(claims, queues[9].set_slots("default", 4))
    running = sum(len(jobs_) for jobs_ in claimed)
    if running >= 4:
        for number, worker in enumerate(workers):
            assert await queues[number].claim(worker.id, 5) == []
    async with databases[0].transaction() as connection:
        held = text("SELECT count(*) FROM etl.limit_slot WHERE job_id IS NOT NULL")
        units = (await connection.execute(held)).scalar_one()
        counted = text("SELECT count(*) FROM etl.job_queue WHERE state = 'running'")
        assert units == (await connection.execute(counted)).scalar_one()
    await asyncio.gather(*(queues[n].report([report_of(j) for j in js]) for n, js in enumerate(claimed)))
    assert len(await queues[0].claim(workers[0].id, 10)) == 4


async def test_a_claim_tells_of_a_job_that_was_submitted_while_it_was_under_way(
    databases: list[Database],
) -> None:
    """It was taken by the newer snapshot of the function, and missed by the older one of the statement."""
    worker, (job,) = a_worker(), jobs(1)
    await PostgresWorkerRegistry(databases[0]).join(worker, TERMS)
    async with databases[0].transaction() as rival, asyncio.TaskGroup() as group:
        await rival.execute(
            text("SELECT FROM etl.worker_session WHERE id = :id FOR UPDATE"), {"id": worker.id}
        )
        claim = group.create_task(PostgresJobQueue(databases[1], SystemChance()).claim(worker.id, 2))
        await blocked(databases[2])
        await PostgresJobQueue(databases[3], SystemChance()).submit([job])
        await rival.rollback()
    assert [(claimed.id, claimed.spec) for claimed in claim.result()] == [(job.id, job.spec)]


async def blocked(database: Database) -> None:
    """Returns once somebody waits for a lock that somebody else holds."""
    waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    async with asyncio.timeout(30):
        while True:
            async with database.transaction() as connection:
                if (await connection.execute(waits)).scalar_one():
                    return


async def test_a_claim_passes_by_a_job_that_a_rival_holds_locked(databases: list[Database]) -> None:
    queue, worker = PostgresJobQueue(databases[0], SystemChance()), a_worker()
    await PostgresWorkerRegistry(databases[0]).join(worker, TERMS)
    first, second = jobs(2)
    await queue.submit([first, second])
    async with databases[1].transaction() as rival:
        await rival.execute(text("SELECT FROM etl.job_queue WHERE job_id = :id FOR UPDATE"), {"id": first.id})
        # Without SKIP LOCKED this waits for the rival, up to the lock timeout, and fails.
        assert [job.id for job in await queue.claim(worker.id, 2)] == [second.id]
    assert [job.id for job in await queue.claim(worker.id, 2)] == [first.id]
