import asyncio
from uuid import UUID

import pytest

from adapters.system.clock import SystemClock
from application.ports.notifier import JobChanged, Reconnected
from application.read_jobs import AwaitJob, ExplainJob
from domain.errors import JobNotFound
from domain.job import JobState
from tests.builders import failed, report_of
from tests.unit.application.worlds import World


def await_job(world: World) -> AwaitJob:
    return AwaitJob(world.history, world.notifier, SystemClock())


async def until_listening(world: World) -> None:
    while not world.records.inboxes:  # noqa: ASYNC110 - the subscription signals nobody
        await asyncio.sleep(0)


async def test_a_final_job_is_answered_at_once(world: World) -> None:
    job = await world.started()
    await world.queue.report([report_of(job)])
    assert (await await_job(world)(job.id, 60)).state is JobState.SUCCEEDED


@pytest.mark.parametrize("notice", [JobChanged, lambda _: Reconnected()])
async def test_a_notice_wakes_the_one_who_waits(
    world: World, notice: type[JobChanged], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("application.read_jobs.POLL_SECONDS", 60.0)
    job = await world.started()
    waiting = asyncio.create_task(await_job(world)(job.id, 60))
    await until_listening(world)
    await world.queue.report([report_of(job)])
    world.notifier.publish(notice(job.id))
    assert (await asyncio.wait_for(waiting, 30)).state is JobState.SUCCEEDED


async def test_without_a_notice_it_looks_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("application.read_jobs.POLL_SECONDS", 0.01)
    job = await world.started()
    waiting = asyncio.create_task(await_job(world)(job.id, 60))
    await until_listening(world)
    await world.queue.report([report_of(job)])
    assert (await asyncio.wait_for(waiting, 30)).state is JobState.SUCCEEDED


async def test_news_of_other_jobs_end_no_wait(world: World) -> None:
    job, other = await world.queued(), await world.queued()
    waiting = asyncio.create_task(await_job(world)(job.id, 0.3))
    await until_listening(world)
    world.notifier.publish(JobChanged(other.id))
    assert (await asyncio.wait_for(waiting, 30)).state is JobState.QUEUED


async def test_when_the_time_is_up_the_job_is_answered_as_it_stands(world: World) -> None:
    job = await world.queued()
    assert await await_job(world)(job.id, 0.05) == job


async def test_waiting_for_an_unknown_job_fails_at_once(world: World) -> None:
    with pytest.raises(JobNotFound):
        await await_job(world)(UUID(int=7), 60)


async def test_a_queued_job_is_explained_by_what_it_waits_for(world: World) -> None:
    job = await world.queued()
    said = await ExplainJob(world.history, world.clock)(job)
    assert said == "No live worker serves queue 'default'."


async def test_a_failed_job_is_explained_by_its_reason(world: World) -> None:
    job = await world.started()
    after = (await world.queue.report([report_of(job, failed(3))]))[0]
    assert await ExplainJob(world.history, world.clock)(after) == "Exited with status 3."


async def test_a_running_job_needs_no_explanation(world: World) -> None:
    assert await ExplainJob(world.history, world.clock)(await world.started()) is None
