"""What one leader does for all: rescue, expire, prune; and what operators do with queues."""

from datetime import timedelta

import pytest

from application.compress_logs import CompressLogs
from application.expire_jobs import ExpireJobs
from application.manage_queues import LimitQueue, PauseQueue, ResumeQueue
from application.ports.notifier import JobChanged, JobsWaiting
from application.prune_history import LimitLogs, PruneJobs, PruneLogs
from application.rescue_lost import RescueLost
from domain.attempt import Outcome
from domain.errors import Invalid, JobNotFound, LogNotFound
from domain.job import JobState
from domain.log import Stream
from tests.builders import repeatable, report_of
from tests.unit.application.worlds import ADMIN, World, ref_of


async def test_an_attempt_whose_lease_expired_is_lost_and_its_queue_is_woken(world: World) -> None:
    job = await world.started(retry=repeatable(2), queue="night")
    world.clock.advance(61)
    assert await RescueLost(world.queue, world.notifier, world.meters)() == 1
    assert world.meters.read("etl_attempts_rescued_total") == 1
    after = await world.job(job.id)
    assert (after.state, after.outcome) == (JobState.QUEUED, Outcome.LOST)
    assert world.notifier.published == [JobChanged(job.id), JobsWaiting("night")]


async def test_while_leases_hold_nothing_is_rescued(world: World) -> None:
    await world.started(retry=repeatable(2))
    assert await RescueLost(world.queue, world.notifier, world.meters)() == 0
    assert world.notifier.published == []


async def test_a_job_that_is_still_queued_when_it_expires_is_cancelled(world: World) -> None:
    job = await world.queued(expires_at=world.clock.now() + timedelta(seconds=5))
    expire = ExpireJobs(world.queue, world.notifier)
    assert await expire() == 0
    world.clock.advance(5)
    assert await expire() == 1
    after = await world.job(job.id)
    assert after.reason is not None
    assert (after.state, after.reason.code) == (JobState.CANCELLED, "expired")
    assert world.notifier.published == [JobChanged(job.id)]


async def test_retention_deletes_old_jobs_with_their_logs_and_no_others(world: World) -> None:
    old = await world.started()
    await world.logs.write(ref_of(old), Stream.STDOUT, b"line\n")
    await world.queue.report([report_of(old)])
    world.clock.advance(100)
    young = await world.queued()
    assert await PruneJobs(world.history, world.log_upkeep, world.clock, 99.0)() == 1
    with pytest.raises(JobNotFound):
        await world.job(old.id)
    with pytest.raises(LogNotFound):
        await world.logs.extent(ref_of(old))
    assert await world.job(young.id) == young


async def test_logs_have_a_retention_of_their_own_and_their_jobs_stay(world: World) -> None:
    job = await world.started()
    await world.logs.write(ref_of(job), Stream.STDOUT, b"line\n", at=world.clock.now())
    prune = PruneLogs(world.log_upkeep, world.clock, 99.0)
    assert await prune() == 0
    world.clock.advance(3600 * 24 * 365 * 100)  # ids are of the real present, the clock is not
    assert await prune() == 1
    with pytest.raises(LogNotFound):
        await world.logs.extent(ref_of(job))
    assert (await world.job(job.id)).state is JobState.RUNNING


async def test_all_logs_together_have_a_limit_if_one_is_set(world: World) -> None:
    job = await world.started()
    await world.logs.write(ref_of(job), Stream.STDOUT, b"line\n", at=world.clock.now())
    assert await LimitLogs(world.log_upkeep, None)() == 0
    assert await LimitLogs(world.log_upkeep, 5)() == 0
    assert await LimitLogs(world.log_upkeep, 4)() == 1
    with pytest.raises(LogNotFound):
        await world.logs.extent(ref_of(job))


async def test_a_resumed_and_a_widened_queue_wake_the_workers(world: World) -> None:
    await world.queued(queue="night")
    paused = await PauseQueue(world.queue)("night", ADMIN)
    assert (paused.paused_by, world.notifier.published) == ("admin", [])
    await ResumeQueue(world.queue, world.notifier)("night")
    await LimitQueue(world.queue, world.notifier)("night", 2)
    assert world.notifier.published == [JobsWaiting("night"), JobsWaiting("night")]


async def test_a_queue_without_a_slot_is_refused(world: World) -> None:
    with pytest.raises(Invalid, match="pause it"):
        await LimitQueue(world.queue, world.notifier)("night", 0)
    assert await world.queue.queues() == []


async def test_logs_are_compressed_when_nobody_wrote_to_them_for_long(world: World) -> None:
    job = await world.started()
    await world.logs.write(ref_of(job), Stream.STDOUT, b"line\n", world.clock.now())
    compress = CompressLogs(world.log_upkeep, world.clock, 99.0)
    assert await compress() == 0
    world.clock.advance(3600 * 24 * 365 * 100)  # ids are of the real present, the clock is not
    assert await compress() == 1
    assert await compress() == 0
