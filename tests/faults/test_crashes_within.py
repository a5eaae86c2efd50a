"""The database dies inside a transaction, or another one is faster: all or nothing, and one winner."""

import asyncio
from datetime import UTC, datetime

import pytest

from application.ports.job_queue import Claim
from application.run_attempt import Reports
from domain.attempt import Outcome
from domain.errors import DatabaseUnavailable, JobIsFinal
from domain.event import EventKind
from domain.job import FINAL, Job, JobState
from tests.builders import a_job, failed, jobs, repeatable, report_of, succeeded
from tests.contract.kernels import claim_one, join, start_one, submit
from tests.contract.postgres_kernel import PostgresKernel, postgres_kernel
from tests.embedded_server import Server
from tests.faults.stall import stalled

RETRY = repeatable(3)


async def test_f08_a_claim_in_which_the_database_crashed_never_was(server: Server) -> None:
    """F08: no half claim; the job is claimed again under the first fence."""
    async with postgres_kernel(server.url) as kernel:
        worker = await join(kernel)
        (job,) = await submit(kernel, a_job())
        async with stalled(server.url, "UPDATE ON etl.job_queue") as stall:
            claim = asyncio.create_task(kernel.queue.claim(worker.id, 1))
            await stall.reached()
            server.kill()
            with pytest.raises(DatabaseUnavailable):
                await claim
        server.start()
        assert await kernel.history.get(job.id) == job
        assert await kernel.history.attempts(job.id) == []
        assert (await claim_one(kernel, worker)).fence == 1


async def test_f09_a_report_in_which_the_database_crashed_is_sent_again_and_counts_once(
    server: Server,
) -> None:
    """F09: at `complete.before_commit`."""
    async with postgres_kernel(server.url) as kernel:
        worker = await join(kernel)
        await submit(kernel, a_job())
        job = await start_one(kernel, worker)
        async with stalled(server.url, "INSERT ON etl.attempt") as stall:
            report = asyncio.create_task(Reports(kernel.queue).ended(report_of(job)))
            await stall.reached()
            server.kill()
        server.start()
        async with asyncio.timeout(60):
            after = await report
        assert after == await kernel.history.get(job.id)
        assert after is not None
        assert after.state is JobState.SUCCEEDED
        kinds = [event.kind for event in await kernel.history.events(job.id)]
        assert kinds.count(EventKind.SUCCEEDED) == 1


async def test_f28_a_rescue_passes_by_an_attempt_whose_report_is_under_way(
    kernel: PostgresKernel, database_url: str
) -> None:
    """F28: completed stays completed, although its lease is over when the rescue looks."""
    worker = await join(kernel)
    await submit(kernel, a_job())
    job = await start_one(kernel, worker)
    await kernel.expire_last_lease(worker.id)
    async with stalled(database_url, "INSERT ON etl.attempt") as stall:
        report = asyncio.create_task(kernel.queue.report([report_of(job)]))
        await stall.reached()
        assert await kernel.queue.rescue(10) == []
        await stall.release()
        assert [each.state for each in await report] == [JobState.SUCCEEDED]
    assert await kernel.queue.rescue(10) == []
    assert (await kernel.history.get(job.id)).state is JobState.SUCCEEDED


async def test_f28_a_report_that_comes_during_a_rescue_waits_for_it_and_is_refused(
    kernel: PostgresKernel, database_url: str
) -> None:
    """F28, the other way round: between the rescue's select and its commit (River #1302)."""
    worker = await join(kernel)
    await submit(kernel, a_job())
    job = await start_one(kernel, worker)
    await kernel.expire_last_lease(worker.id)
    async with stalled(database_url, "INSERT ON etl.attempt") as stall:
        rescue = asyncio.create_task(kernel.queue.rescue(10))
        await stall.reached()
        report = asyncio.create_task(kernel.queue.report([report_of(job)]))
        await asyncio.wait([report], timeout=0.2)
        assert not report.done()
        await stall.release()
        (lost,) = await rescue
        assert await report == []
    assert (lost.state, lost.outcome) == (JobState.FAILED, Outcome.LOST)
    assert await kernel.history.get(job.id) == lost


async def test_f54_of_500_cancels_and_ends_at_the_same_moment_each_job_has_one_end_and_says_both(
    kernel: PostgresKernel,
) -> None:
    """F54. A success is never undone by a cancel; a cancel that was accepted allows no further attempt."""
    worker = await join(kernel)
    batch = jobs(500, retry=RETRY)
    await submit(kernel, *batch)
    held = [job for _ in range(5) for job in await kernel.queue.claim(worker.id, 100)]
    assert len(held) == 500
    await kernel.queue.start([Claim(job_id=job.id, fence=job.fence) for job in held])
    gate = asyncio.Semaphore(8)

    async def race(number: int, job: Job) -> None:
        ending = succeeded() if number % 2 else failed()
        cancel = kernel.queue.change(job.id, lambda job: job.cancel(datetime.now(UTC)), "bob")
        report = kernel.queue.report([report_of(job, ending)])
        both = (cancel, report) if number % 4 < 2 else (report, cancel)
        async with gate:
            answers = await asyncio.gather(*both, return_exceptions=True)
        assert_one_end(await kernel.history.get(job.id), answers, await kinds_of(kernel, job))

    await asyncio.gather(*(race(number, job) for number, job in enumerate(held)))


def assert_one_end(job: Job, answers: list[object], kinds: list[EventKind]) -> None:
    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    assert all(isinstance(answer, JobIsFinal) for answer in refused), refused
    final = [kind for kind in kinds if kind.value in FINAL]
    assert final == [kinds[-1]] == [EventKind(job.state.value)]
    if EventKind.SUCCEEDED in kinds:
        # The cancel came too late, or was asked for and is told of; never both, never neither.
        assert (EventKind.CANCEL_REQUESTED in kinds) != bool(refused)
    else:
        assert job.state is JobState.CANCELLED
        assert not refused


async def kinds_of(kernel: PostgresKernel, job: Job) -> list[EventKind]:
    return [event.kind for event in await kernel.history.events(job.id)]
