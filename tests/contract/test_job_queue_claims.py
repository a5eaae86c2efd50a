"""The contract of JobQueue: to whom a job is given, and in which order."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from domain.job import Job
from tests.builders import (
    a_job,
    jobs,
)
from tests.contract.kernels import RIVALS, Kernel, claim_one, join, submit


async def test_a_claim_gives_the_job_to_the_session_under_a_new_fence(kernel: Kernel) -> None:
    worker = await join(kernel)
    (job,) = await submit(kernel, a_job())
    claimed = await claim_one(kernel, worker)
    assert claimed == job.claimed(worker.id, worker.name)
    assert (claimed.attempt, claimed.fence, claimed.attempt_started) == (1, 1, False)
    assert await kernel.history.get(job.id) == claimed


async def test_higher_priority_goes_first_then_the_older_job(kernel: Kernel) -> None:
    worker = await join(kernel)
    low, old, young, high = a_job(priority=-1), a_job(), a_job(), a_job(priority=5)
    await submit(kernel, young, high, low, old)
    claimed = await kernel.queue.claim(worker.id, 10)
    assert [job.id for job in claimed] == [high.id, old.id, young.id, low.id]


async def test_claims_one_by_one_follow_the_same_order_over_several_queues(kernel: Kernel) -> None:
    worker = await join(kernel, "a", "b")
    first, second, third = a_job(queue="b", priority=9), a_job(queue="a"), a_job(queue="b")
    await submit(kernel, third, second, first)
    claimed = [await claim_one(kernel, worker) for _ in range(3)]
    assert [job.id for job in claimed] == [first.id, second.id, third.id]


async def test_a_claim_gives_no_more_than_its_limit(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, *jobs(5))
    assert len(await kernel.queue.claim(worker.id, 2)) == 2
    assert len(await kernel.queue.claim(worker.id, 10)) == 3
    assert await kernel.queue.claim(worker.id, 10) == []


async def test_a_session_claims_only_from_its_own_queues(kernel: Kernel) -> None:
    worker = await join(kernel, "etl", "reports")
    mine, report, _ = await submit(kernel, a_job(queue="etl"), a_job(queue="reports"), a_job(queue="other"))
    claimed = await kernel.queue.claim(worker.id, 10)
    assert {job.id for job in claimed} == {mine.id, report.id}


async def test_a_session_that_names_no_queue_claims_from_all(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job(queue="a"), a_job(queue="b"))
    assert len(await kernel.queue.claim(worker.id, 10)) == 2


async def test_a_job_is_not_claimed_before_its_time(kernel: Kernel) -> None:
    worker = await join(kernel)
    (job,) = await submit(kernel, a_job(not_before=datetime.now(UTC) + timedelta(hours=1)))
    assert await kernel.queue.claim(worker.id, 10) == []
    await kernel.make_due(job.id)
    assert (await claim_one(kernel, worker)).id == job.id


async def test_a_job_past_its_expiry_is_not_claimed(kernel: Kernel) -> None:
    worker = await join(kernel)
    (job,) = await submit(kernel, a_job(expires_at=datetime.now(UTC) + timedelta(hours=1)))
    await kernel.make_late(job.id)
    assert await kernel.queue.claim(worker.id, 10) == []


async def test_a_draining_session_claims_nothing(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    await kernel.registry.drain(worker.id)
    assert await kernel.queue.claim(worker.id, 10) == []


async def test_a_session_whose_lease_expired_claims_nothing(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    await kernel.expire_lease(worker.id)
    assert await kernel.queue.claim(worker.id, 10) == []


async def test_a_session_that_left_or_never_joined_claims_nothing(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    await kernel.registry.leave(worker.id)
    assert await kernel.queue.claim(worker.id, 10) == []
    assert await kernel.queue.claim(uuid4(), 10) == []


async def test_of_20_rivals_exactly_one_claims_the_job(kernel: Kernel) -> None:
    workers = [await join(kernel) for _ in range(RIVALS)]
    (job,) = await submit(kernel, a_job())
    claims = await asyncio.gather(*(kernel.queue.claim(worker.id, 5) for worker in workers))
    assert [claimed.id for claim in claims for claimed in claim] == [job.id]


async def test_rivals_share_a_backlog_without_giving_a_job_twice(kernel: Kernel) -> None:
    workers = [await join(kernel) for _ in range(8)]
    batch = await submit(kernel, *jobs(60))

    async def claim_all(session: int) -> list[Job]:
        mine: list[Job] = []
        while claimed := await kernel.queue.claim(workers[session].id, 3):
            mine += claimed
        return mine

    shares = await asyncio.gather(*(claim_all(session) for session in range(8)))
    given = [job.id for share in shares for job in share]
    # A rival may be told "none" while others hold the locks of the last rows; what is left is still there.
    given += [job.id for job in await kernel.queue.claim(workers[0].id, 60)]
    assert Counter(given) == Counter(job.id for job in batch)
