"""The contract of WorkerRegistry: sessions, leases, and what a renewal brings back."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from domain.errors import WorkerNotFound
from domain.job import JobState
from domain.worker import Holding, LeaseTerms, WorkerState
from tests.builders import TERMS, a_job, a_worker, claim_of, jobs, repeatable, report_of
from tests.contract.kernels import Kernel, claim_one, join, start_one, submit

RIVALS = 20


async def test_a_worker_that_joined_is_listed_as_it_presented_itself(kernel: Kernel) -> None:
    worker = a_worker("etl", "reports", labels={"zone": "a"}, slots=7)
    await kernel.registry.join(worker, TERMS)
    (seen,) = await kernel.registry.list()
    assert (seen.id, seen.host, seen.pid, seen.version, seen.slots) == (
        worker.id,
        worker.host,
        worker.pid,
        worker.version,
        7,
    )
    assert (tuple(seen.queues), dict(seen.labels)) == (("etl", "reports"), {"zone": "a"})
    assert (seen.state, seen.running) == (WorkerState.UP, 0)
    assert seen.started_at is not None
    assert seen.seen_at is not None


async def test_workers_are_listed_the_oldest_first_with_what_they_run(kernel: Kernel) -> None:
    first, second = await join(kernel), await join(kernel)
    await submit(kernel, *jobs(3))
    await claim_one(kernel, first)
    await kernel.queue.claim(second.id, 2)
    assert [(worker.id, worker.running) for worker in await kernel.registry.list()] == [
        (first.id, 1),
        (second.id, 2),
    ]


async def test_a_renewal_brings_back_what_the_session_still_holds(kernel: Kernel) -> None:
    worker, other = await join(kernel), await join(kernel)
    await submit(kernel, a_job(priority=2), a_job(priority=1, retry=repeatable()), a_job())
    last, repeated = await kernel.queue.claim(worker.id, 2)
    await claim_one(kernel, other)
    await kernel.queue.change(repeated.id, lambda job: job.cancel(datetime.now(UTC)), "bob")
    renewal = await kernel.registry.renew(worker.id, TERMS)
    assert renewal is not None
    assert not renewal.draining
    assert set(renewal.holdings) == {
        Holding(job_id=last.id, fence=1, is_last_attempt=True, cancel_requested=False),
        Holding(job_id=repeated.id, fence=1, is_last_attempt=False, cancel_requested=True),
    }


async def test_what_ended_was_put_back_or_was_adopted_is_no_longer_held(kernel: Kernel) -> None:
    worker, other = await join(kernel), await join(kernel)
    await submit(kernel, *jobs(4))
    ended, given_back, adopted, kept = await kernel.queue.claim(worker.id, 4)
    await kernel.queue.report([report_of(ended)])
    await kernel.queue.put_back([claim_of(given_back)])
    await kernel.queue.adopt(other.id, [claim_of(adopted)])
    mine, theirs = await asyncio.gather(
        kernel.registry.renew(worker.id, TERMS), kernel.registry.renew(other.id, TERMS)
    )
    assert mine is not None
    assert theirs is not None
    assert [holding.job_id for holding in mine.holdings] == [kept.id]
    assert [holding.job_id for holding in theirs.holdings] == [adopted.id]


async def test_a_renewal_with_nothing_held_keeps_the_session_alive(kernel: Kernel) -> None:
    worker = await join(kernel)
    renewal = await kernel.registry.renew(worker.id, TERMS)
    assert renewal is not None
    assert renewal.holdings == ()


async def test_a_renewal_extends_the_lease_by_the_terms_it_gives(kernel: Kernel) -> None:
    worker = a_worker()
    await kernel.registry.join(worker, TERMS)
    await kernel.registry.renew(worker.id, LeaseTerms(seconds=0.0, last_seconds=0.0))
    await submit(kernel, a_job())
    assert list(await kernel.queue.claim(worker.id, 1)) == []


async def test_a_renewal_keeps_running_attempts_from_being_rescued(kernel: Kernel) -> None:
    worker = a_worker()
    await kernel.registry.join(worker, LeaseTerms(seconds=30.0, last_seconds=30.0))
    await submit(kernel, a_job(retry=repeatable()))
    job = await start_one(kernel, worker)
    assert await kernel.registry.renew(worker.id, TERMS) is not None
    assert await kernel.queue.rescue(10) == []
    assert (await kernel.history.get(job.id)).state is JobState.RUNNING


async def test_a_session_that_was_declared_dead_is_never_renewed(kernel: Kernel) -> None:
    worker = await join(kernel)
    await kernel.expire_lease(worker.id)
    await kernel.queue.rescue(10)
    assert await kernel.registry.renew(worker.id, TERMS) is None
    assert await kernel.registry.renew(worker.id, TERMS) is None
    assert list(await kernel.registry.list()) == []
    await submit(kernel, a_job())
    assert list(await kernel.queue.claim(worker.id, 1)) == []


async def test_a_session_that_nobody_began_is_not_renewed(kernel: Kernel) -> None:
    assert await kernel.registry.renew(uuid4(), TERMS) is None


async def test_a_worker_that_left_is_gone_and_leaving_again_does_no_harm(kernel: Kernel) -> None:
    worker, other = await join(kernel), await join(kernel)
    await kernel.registry.leave(worker.id)
    await kernel.registry.leave(worker.id)
    assert [seen.id for seen in await kernel.registry.list()] == [other.id]
    assert await kernel.registry.renew(worker.id, TERMS) is None


async def test_what_a_worker_left_unstarted_is_rescued_at_once(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    job = await claim_one(kernel, worker)
    await kernel.registry.leave(worker.id)
    (rescued,) = await kernel.queue.rescue(10)
    assert (rescued.id, rescued.state, rescued.attempt) == (job.id, JobState.QUEUED, 0)


async def test_a_last_attempt_that_a_worker_left_running_is_adopted_by_its_next_session(
    kernel: Kernel,
) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    job = await start_one(kernel, worker)
    await kernel.registry.leave(worker.id)
    assert await kernel.queue.rescue(10) == []
    successor = await join(kernel)
    (adopted,) = await kernel.queue.adopt(successor.id, [claim_of(job)])
    assert adopted.fence == job.fence
    renewal = await kernel.registry.renew(successor.id, TERMS)
    assert renewal is not None
    assert [holding.fence for holding in renewal.holdings] == [job.fence]


async def test_a_draining_worker_hears_of_it_with_its_next_renewal(kernel: Kernel) -> None:
    worker = await join(kernel)
    drained = await kernel.registry.drain(worker.id)
    assert (drained.id, drained.state) == (worker.id, WorkerState.DRAINING)
    renewal = await kernel.registry.renew(worker.id, TERMS)
    assert renewal is not None
    assert renewal.draining
    (seen,) = await kernel.registry.list()
    assert seen.state is WorkerState.DRAINING
    assert (await kernel.registry.drain(worker.id)).state is WorkerState.DRAINING


async def test_a_draining_worker_ends_what_it_has(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    job = await claim_one(kernel, worker)
    await kernel.registry.drain(worker.id)
    assert await kernel.queue.start([claim_of(job)]) == [claim_of(job)]
    (ended,) = await kernel.queue.report([report_of(job)])
    assert ended.state is JobState.SUCCEEDED


async def test_a_worker_that_is_not_alive_cannot_be_drained(kernel: Kernel) -> None:
    worker = await join(kernel)
    await kernel.registry.leave(worker.id)
    with pytest.raises(WorkerNotFound):
        await kernel.registry.drain(worker.id)
    with pytest.raises(WorkerNotFound):
        await kernel.registry.drain(uuid4())


async def test_dead_sessions_that_hold_nothing_are_forgotten_after_a_while(kernel: Kernel) -> None:
    await join(kernel)
    gone, holder = await join(kernel), await join(kernel)
    await submit(kernel, a_job())
    job = await start_one(kernel, holder)
    await kernel.registry.leave(gone.id)
    await kernel.registry.leave(holder.id)
    assert await kernel.registry.forget_dead(3600.0) == 0
    assert await kernel.registry.forget_dead(0.0) == 1
    assert await kernel.history.get(job.id) == job
    await kernel.queue.report([report_of(job)])
    assert await kernel.registry.forget_dead(0.0) == 1
    assert len(await kernel.registry.list()) == 1


async def test_20_rivals_join_at_once_and_each_is_listed(kernel: Kernel) -> None:
    workers = [a_worker() for _ in range(RIVALS)]
    await asyncio.gather(*(kernel.registry.join(worker, TERMS) for worker in workers))
    assert {seen.id for seen in await kernel.registry.list()} == {worker.id for worker in workers}


async def test_renewals_of_20_sessions_at_once_bring_each_its_own(kernel: Kernel) -> None:
    workers = [await join(kernel) for _ in range(RIVALS)]
    await submit(kernel, *jobs(RIVALS))
    held = [(await claim_one(kernel, worker)).id for worker in workers]
    renewals = await asyncio.gather(*(kernel.registry.renew(worker.id, TERMS) for worker in workers))
    assert [[holding.job_id for holding in r.holdings] for r in renewals if r] == [
        [job_id] for job_id in held
    ]
