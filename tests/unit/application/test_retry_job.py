from dataclasses import replace
from typing import Any

import pytest

from application.ports.notifier import JobsWaiting
from application.retry_job import RetryJob
from domain.access import Principal, Scope
from domain.command import Command
from domain.errors import JobIsNotFinal, MissingScope
from domain.job import Job, JobState
from tests.builders import failed, report_of
from tests.unit.application.worlds import ALICE, World


def retry(world: World) -> RetryJob:
    return RetryJob(world.queue, world.history, world.notifier, world.clock, world.chance, world.meters)


async def ended(world: World, **spec: Any) -> Job:
    job = await world.started(**spec)
    return (await world.queue.report([report_of(job, failed())]))[0]


async def test_a_retry_is_a_new_job_of_the_same_spec(world: World) -> None:
    old = await ended(world, queue="night", labels={"team": "sales"})
    job = await retry(world)(old.id, replace(ALICE, name="bob"))
    assert (job.retry_of, job.spec, job.submitted_by, job.state) == (old.id, old.spec, "bob", JobState.QUEUED)
    assert world.notifier.published == [JobsWaiting("night")]


async def test_the_old_job_stays_as_it_is(world: World) -> None:
    old = await ended(world)
    await retry(world)(old.id, ALICE)
    assert await world.job(old.id) == old


async def test_a_job_that_may_still_end_well_is_not_retried(world: World) -> None:
    job = await world.started()
    with pytest.raises(JobIsNotFinal):
        await retry(world)(job.id, ALICE)


async def test_a_command_needs_its_own_scope_again(world: World) -> None:
    old = await ended(world, command=Command(argv=("/bin/true",)))
    with pytest.raises(MissingScope, match="jobs:command"):
        await retry(world)(old.id, ALICE)
    bold = Principal(name="bold", scopes=frozenset({Scope.JOBS_COMMAND}))
    assert (await retry(world)(old.id, bold)).retry_of == old.id
