from uuid import UUID

import pytest

from application.cancel_job import CancelJob
from application.ports.notifier import CancelRequested, JobChanged
from domain.errors import JobIsFinal, JobNotFound
from domain.job import JobState
from tests.builders import report_of
from tests.unit.application.worlds import ALICE, World


def cancel(world: World) -> CancelJob:
    return CancelJob(world.queue, world.notifier, world.clock)


async def test_a_queued_job_is_cancelled_at_once(world: World) -> None:
    job = await cancel(world)((await world.queued()).id, ALICE)
    assert job.state is JobState.CANCELLED
    assert world.notifier.published == [JobChanged(job.id)]


async def test_a_running_job_is_asked_for_and_its_worker_is_told(world: World) -> None:
    running = await world.started()
    job = await cancel(world)(running.id, ALICE)
    assert (job.state, job.cancel_requested_at) == (JobState.RUNNING, world.clock.now())
    assert running.session_id is not None
    assert world.notifier.published == [JobChanged(job.id), CancelRequested(running.session_id, job.id)]


async def test_cancelling_again_keeps_the_first_time(world: World) -> None:
    running = await world.started()
    first = await cancel(world)(running.id, ALICE)
    world.clock.advance(5)
    assert (await cancel(world)(running.id, ALICE)).cancel_requested_at == first.cancel_requested_at


async def test_a_cancelled_job_may_be_cancelled_again(world: World) -> None:
    job = await cancel(world)((await world.queued()).id, ALICE)
    assert await cancel(world)(job.id, ALICE) == job


async def test_a_job_that_succeeded_is_not_cancelled_any_more(world: World) -> None:
    job = await world.started()
    await world.queue.report([report_of(job)])
    with pytest.raises(JobIsFinal):
        await cancel(world)(job.id, ALICE)
    assert world.notifier.published == []


async def test_the_event_names_who_cancelled(world: World) -> None:
    job = await cancel(world)((await world.queued()).id, ALICE)
    assert (await world.history.events(job.id))[-1].actor == "alice"


async def test_an_unknown_job_is_not_found(world: World) -> None:
    with pytest.raises(JobNotFound):
        await cancel(world)(UUID(int=7), ALICE)
