"""The contract of JobQueue: what was lost is rescued, and what is late expires."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

from domain.attempt import Outcome
from domain.job import JobState
from tests.builders import (
    TERMS,
    a_job,
    claim_of,
    jobs,
    keyed,
    repeatable,
    report_of,
    succeeded,
    timed_out,
)
from tests.contract.kernels import RIVALS, Kernel, cancel, claim_one, join, start_one, submit

# -- rescue ------------------------------------------------------------------------------------------


async def test_a_repeatable_attempt_of_a_dead_session_is_lost_and_queued_again(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job(retry=repeatable()))
    job = await start_one(kernel, worker)
    assert await kernel.queue.rescue(10) == []
    await kernel.expire_lease(worker.id)
    (rescued,) = await kernel.queue.rescue(10)
    assert rescued == await kernel.history.get(job.id)
    assert (rescued.state, rescued.attempt, rescued.outcome) == (JobState.QUEUED, 1, Outcome.LOST)
    assert rescued.reason is not None
    assert worker.name in rescued.reason.message
    (attempt,) = await kernel.history.attempts(job.id)
    assert attempt.ending is not None
    assert attempt.ending.outcome is Outcome.LOST
    assert await kernel.queue.rescue(10) == []


async def test_a_claim_that_never_started_is_put_back_without_counting(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    job = await claim_one(kernel, worker)
    await kernel.expire_lease(worker.id)
    (rescued,) = await kernel.queue.rescue(10)
    assert (rescued.id, rescued.state, rescued.attempt) == (job.id, JobState.QUEUED, 0)
    assert await kernel.queue.start([claim_of(job)]) == []


async def test_a_last_attempt_outlives_its_session_until_the_last_lease(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    job = await start_one(kernel, worker)
    await kernel.expire_lease(worker.id)
    assert await kernel.queue.rescue(10) == []
    assert await kernel.history.get(job.id) == job
    await kernel.expire_last_lease(worker.id)
    (rescued,) = await kernel.queue.rescue(10)
    assert (rescued.state, rescued.outcome) == (JobState.FAILED, Outcome.LOST)


async def test_a_last_attempt_is_reported_after_its_session_died(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    job = await start_one(kernel, worker)
    await kernel.expire_lease(worker.id)
    await kernel.queue.rescue(10)
    (ended,) = await kernel.queue.report([report_of(job)])
    assert ended.state is JobState.SUCCEEDED


async def test_an_expired_lease_can_be_claimed_again_and_the_old_fence_is_refused(kernel: Kernel) -> None:
    dead, rival = await join(kernel), await join(kernel)
    await submit(kernel, a_job(retry=repeatable()))
    old = await start_one(kernel, dead)
    await kernel.expire_lease(dead.id)
    await kernel.queue.rescue(10)
    new = await start_one(kernel, rival)
    assert (new.id, new.fence) == (old.id, old.fence + 1)
    assert await kernel.queue.report([report_of(old, succeeded())]) == []
    assert await kernel.queue.start([claim_of(old)]) == []
    assert await kernel.queue.put_back([claim_of(old)]) == []
    assert await kernel.history.get(new.id) == new
    (ended,) = await kernel.queue.report([report_of(new)])
    assert ended.state is JobState.SUCCEEDED


async def test_a_late_report_of_a_rescued_attempt_is_left_out(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    job = await start_one(kernel, worker)
    await kernel.expire_last_lease(worker.id)
    (rescued,) = await kernel.queue.rescue(10)
    assert await kernel.queue.report([report_of(job, succeeded())]) == []
    assert await kernel.history.get(job.id) == rescued


async def test_a_rescued_job_whose_cancel_was_asked_for_is_cancelled(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, *jobs(2, retry=repeatable()))
    started, claimed = await start_one(kernel, worker), await claim_one(kernel, worker)
    for job in (started, claimed):
        await kernel.queue.change(job.id, cancel, "bob")
    await kernel.expire_lease(worker.id)
    rescued = await kernel.queue.rescue(10)
    assert [job.state for job in rescued] == [JobState.CANCELLED, JobState.CANCELLED]


async def test_a_rescue_takes_no_more_than_its_limit_and_the_next_takes_the_rest(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, *jobs(5))
    await kernel.queue.claim(worker.id, 5)
    await kernel.expire_lease(worker.id)
    rounds = [await kernel.queue.rescue(2) for _ in range(4)]
    assert [len(rescued) for rescued in rounds] == [2, 2, 1, 0]
    assert len({job.id for rescued in rounds for job in rescued}) == 5


async def test_a_rescue_leaves_living_sessions_alone(kernel: Kernel) -> None:
    dead, living = await join(kernel), await join(kernel)
    await submit(kernel, *jobs(2))
    lost_job, kept = await claim_one(kernel, dead), await claim_one(kernel, living)
    await kernel.expire_lease(dead.id)
    assert [job.id for job in await kernel.queue.rescue(10)] == [lost_job.id]
    assert await kernel.history.get(kept.id) == kept


async def test_of_20_rival_rescues_each_job_is_rescued_once(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, *jobs(30, retry=repeatable()))
    held = await kernel.queue.claim(worker.id, 30)
    await kernel.queue.start([claim_of(job) for job in held])
    await kernel.expire_lease(worker.id)
    answers = await asyncio.gather(*(kernel.queue.rescue(5) for _ in range(RIVALS)))
    rescued = [job.id for answer in answers for job in answer]
    rescued += [job.id for job in await kernel.queue.rescue(30)]
    assert Counter(rescued) == Counter(job.id for job in held)


async def test_of_a_rescue_and_a_report_at_the_same_moment_one_wins_for_good(kernel: Kernel) -> None:
    for _ in range(RIVALS):
        worker = await join(kernel)
        await submit(kernel, a_job())
        job = await start_one(kernel, worker)
        await kernel.expire_last_lease(worker.id)
        rescued, reported = await asyncio.gather(
            kernel.queue.rescue(10), kernel.queue.report([report_of(job, succeeded())])
        )
        (winner,) = [*rescued, *reported]
        assert winner.state is (JobState.SUCCEEDED if reported else JobState.FAILED)
        assert await kernel.queue.report([report_of(job, timed_out())]) == []
        await kernel.queue.rescue(10)
        assert await kernel.history.get(job.id) == winner


async def test_of_a_renewal_and_a_rescue_at_the_same_moment_never_both_win(kernel: Kernel) -> None:
    for _ in range(RIVALS):
        worker = await join(kernel)
        await submit(kernel, a_job())
        job = await claim_one(kernel, worker)
        await kernel.expire_lease(worker.id)
        renewal, rescued = await asyncio.gather(
            kernel.registry.renew(worker.id, TERMS), kernel.queue.rescue(10)
        )
        still_held = renewal is not None and bool(renewal.holdings)
        assert still_held != bool(rescued)
        assert (await kernel.history.get(job.id)).state is (
            JobState.RUNNING if still_held else JobState.QUEUED
        )
        await kernel.queue.change(job.id, cancel, "bob")
        await kernel.expire_lease(worker.id)
        await kernel.queue.rescue(10)


# -- expire ------------------------------------------------------------------------------------------


async def test_a_job_still_queued_at_its_expiry_is_cancelled(kernel: Kernel) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    late, _, _ = await submit(kernel, a_job(expires_at=soon), a_job(expires_at=soon), a_job())
    assert await kernel.queue.expire(10) == []
    await kernel.make_late(late.id)
    (expired,) = await kernel.queue.expire(10)
    assert (expired.id, expired.state) == (late.id, JobState.CANCELLED)
    assert expired.reason is not None
    assert expired.reason.code == "expired"
    assert (await kernel.history.get(late.id)).state is JobState.CANCELLED
    assert await kernel.queue.expire(10) == []


async def test_a_running_job_does_not_expire(kernel: Kernel) -> None:
    worker = await join(kernel)
    (job,) = await submit(kernel, a_job(expires_at=datetime.now(UTC) + timedelta(hours=1)))
    await claim_one(kernel, worker)
    await kernel.make_late(job.id)
    assert await kernel.queue.expire(10) == []
    assert (await kernel.history.get(job.id)).state is JobState.RUNNING


async def test_a_job_that_waits_for_a_full_key_expires_too(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job(concurrency=keyed("sales")))
    await claim_one(kernel, worker)
    soon = datetime.now(UTC) + timedelta(hours=1)
    (job,) = await submit(kernel, a_job(concurrency=keyed("sales"), expires_at=soon))
    assert await kernel.queue.claim(worker.id, 10) == []
    await kernel.make_late(job.id)
    assert [expired.id for expired in await kernel.queue.expire(10)] == [job.id]


async def test_an_expire_takes_no_more_than_its_limit(kernel: Kernel) -> None:
    batch = await submit(kernel, *jobs(3, expires_at=datetime.now(UTC) + timedelta(hours=1)))
    for job in batch:
        await kernel.make_late(job.id)
    assert len(await kernel.queue.expire(2)) == 2
    assert len(await kernel.queue.expire(2)) == 1
