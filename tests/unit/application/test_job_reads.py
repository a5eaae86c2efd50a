"""Followers of one job share its reads, and none of them is told what was so before it asked."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest

from adapters.memory.job_history import MemoryJobHistory
from application.job_reads import JobReads
from domain.attempt import Attempt
from domain.errors import DatabaseUnavailable, JobNotFound
from domain.job import Job, JobState
from tests.unit.application.worlds import World

WAIT = 30.0


class GatedHistory(MemoryJobHistory):
    """Answers what was so when it was asked, once the gate is open."""

    def __init__(self, world: World) -> None:
        super().__init__(world.records, world.clock)
        self.asked = 0
        self.is_away = False
        self.gate = asyncio.Event()

    async def get(self, job_id: UUID) -> Job:
        self.asked += 1
        job = await super().get(job_id)
        await self.gate.wait()
        if self.is_away:
            raise DatabaseUnavailable("It is away.")
        return job

    async def attempts(self, job_id: UUID) -> Sequence[Attempt]:
        return await super().attempts(job_id)


@pytest.fixture
def history(world: World) -> GatedHistory:
    return GatedHistory(world)


async def under_way(history: GatedHistory, reads: int) -> None:
    async with asyncio.timeout(WAIT):
        while history.asked < reads:  # noqa: ASYNC110 - the store tells nobody that it was asked
            await asyncio.sleep(0)


async def test_a_thousand_who_ask_at_once_cost_two_reads(world: World, history: GatedHistory) -> None:
    job, reads = await world.queued(), JobReads(history)
    first = asyncio.create_task(reads.fresh(job.id))
    await under_way(history, 1)
    others = [asyncio.create_task(reads.fresh(job.id)) for _ in range(1000)]
    await asyncio.sleep(0)
    history.gate.set()
    await asyncio.wait_for(asyncio.gather(first, *others), WAIT)
    assert history.asked == 2


async def test_what_is_fresh_was_read_after_it_was_asked_for(world: World, history: GatedHistory) -> None:
    job, reads = await world.queued(), JobReads(history)
    before = asyncio.create_task(reads.fresh(job.id))
    await under_way(history, 1)
    await world.queue.change(job.id, lambda job: job.cancel(world.clock.now()), "alice")
    after = asyncio.create_task(reads.fresh(job.id))
    await asyncio.sleep(0)
    history.gate.set()
    assert (await asyncio.wait_for(before, WAIT)).job.state is JobState.QUEUED
    assert (await asyncio.wait_for(after, WAIT)).job.state is JobState.CANCELLED


async def test_the_latest_read_serves_all_who_do_not_need_a_fresh_one(
    world: World, history: GatedHistory
) -> None:
    job, reads = await world.queued(), JobReads(history)
    history.gate.set()
    await reads.fresh(job.id)
    for _ in range(100):
        assert (await reads.latest(job.id)).job == job
    assert history.asked == 1
    await reads.fresh(job.id)
    assert history.asked == 2


async def test_a_failure_is_told_to_those_who_waited_and_kept_for_nobody(
    world: World, history: GatedHistory
) -> None:
    job, reads = await world.queued(), JobReads(history)
    waiting = [asyncio.create_task(reads.latest(job.id)) for _ in range(3)]
    await under_way(history, 1)
    later = asyncio.create_task(reads.fresh(job.id))
    await asyncio.sleep(0)
    history.is_away = True
    history.gate.set()
    told = await asyncio.wait_for(asyncio.gather(*waiting, later, return_exceptions=True), WAIT)
    assert {type(error) for error in told} == {DatabaseUnavailable}
    history.is_away = False
    assert (await reads.latest(job.id)).job == job
    with pytest.raises(JobNotFound):
        await reads.latest(UUID(int=7))


async def test_who_stops_waiting_takes_the_read_from_nobody(world: World, history: GatedHistory) -> None:
    job, reads = await world.queued(), JobReads(history)
    first, second = (asyncio.create_task(reads.latest(job.id)) for _ in range(2))
    await under_way(history, 1)
    first.cancel()
    history.gate.set()
    assert (await asyncio.wait_for(second, WAIT)).job == job
