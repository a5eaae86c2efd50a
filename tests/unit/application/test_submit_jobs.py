from dataclasses import replace

import pytest

from application.ports.notifier import JobsWaiting
from application.submit_jobs import SubmitBatch
from domain.command import Command
from domain.errors import CommandsNotAllowed, InvalidJob, MissingScope, UnknownScript
from domain.job import JobState
from domain.job_spec import JobSpec
from tests.builders import a_request, a_spec
from tests.unit.application.worlds import ADMIN, ALICE, RULES, World

ARGV = Command(argv=("/bin/true",))


async def test_a_submitted_job_waits_in_the_queue_under_the_callers_name(world: World) -> None:
    submitted = await world.submit()([a_spec()], ALICE)
    job = await world.job(submitted.jobs[0].id)
    assert (job.state, job.submitted_by, job.submitted_at) == (JobState.QUEUED, "alice", world.clock.now())


async def test_what_the_request_leaves_out_is_filled_in_from_the_rules(world: World) -> None:
    spec = JobSpec(command=Command(script="load.py"))
    job = (await world.submit()([spec], ALICE)).jobs[0]
    assert (job.spec.timeout_seconds, job.spec.stop_grace_seconds) == (3600.0, 10.0)


async def test_what_the_request_states_is_kept(world: World) -> None:
    job = (await world.submit()([a_spec(timeout_seconds=5.0, stop_grace_seconds=0.0)], ALICE)).jobs[0]
    assert (job.spec.timeout_seconds, job.spec.stop_grace_seconds) == (5.0, 0.0)


async def test_each_queue_is_woken_once(world: World) -> None:
    await world.submit()([a_spec(queue="night"), a_spec(queue="night"), a_spec()], ALICE)
    assert sorted(n.queue for n in world.notifier.published if isinstance(n, JobsWaiting)) == [
        "default",
        "night",
    ]


async def test_a_job_that_could_never_run_is_refused_and_nothing_is_kept(world: World) -> None:
    with pytest.raises(InvalidJob):
        await world.submit()([a_spec(), a_spec(priority=101)], ALICE)
    assert (world.records.jobs, world.notifier.published) == ({}, [])


async def test_an_unknown_script_is_refused(world: World) -> None:
    with pytest.raises(UnknownScript):
        await world.submit()([a_spec(command=Command(script="other.py"))], ALICE)


async def test_a_script_needs_the_scope_to_submit(world: World) -> None:
    reader = replace(ALICE, scopes=frozenset())
    with pytest.raises(MissingScope, match="jobs:submit"):
        await world.submit()([a_spec()], reader)


async def test_a_command_needs_a_scope_of_its_own(world: World) -> None:
    allowed = replace(RULES, allow_commands=True)
    with pytest.raises(MissingScope, match="jobs:command"):
        await world.submit(allowed)([a_spec(command=ARGV)], ALICE)


async def test_a_command_is_refused_even_to_an_admin_where_commands_are_off(world: World) -> None:
    with pytest.raises(CommandsNotAllowed):
        await world.submit()([a_spec(command=ARGV)], ADMIN)


async def test_a_command_is_accepted_where_commands_are_on(world: World) -> None:
    allowed = replace(RULES, allow_commands=True)
    assert (await world.submit(allowed)([a_spec(command=ARGV)], ADMIN)).jobs[0].spec.command == ARGV


async def test_the_same_request_again_answers_with_the_first_job(world: World) -> None:
    first = await world.submit()([a_spec()], ALICE, a_request())
    again = await world.submit()([a_spec()], ALICE, a_request())
    assert (again.jobs, again.replayed, first.replayed) == (first.jobs, True, False)
    assert world.meters.read("etl_jobs_submitted_total") == 1


async def test_a_batch_names_every_wrong_job_by_its_index(world: World) -> None:
    specs = [a_spec(priority=101), a_spec(), a_spec(timeout_seconds=0.0)]
    with pytest.raises(InvalidJob) as refused:
        await SubmitBatch(world.submit())(specs, ALICE)
    assert [place.pointer for place in refused.value.places] == [
        "/jobs/0/priority",
        "/jobs/2/timeout_seconds",
    ]
    assert world.records.jobs == {}


async def test_a_batch_without_faults_is_accepted_whole(world: World) -> None:
    submitted = await SubmitBatch(world.submit())([a_spec(), a_spec()], ALICE)
    assert len(submitted.jobs) == len(world.records.jobs) == 2


async def test_an_unknown_script_in_a_batch_is_named_by_its_index(world: World) -> None:
    unknown = a_spec(command=Command(script="other.py"))
    with pytest.raises(UnknownScript) as refused:
        await SubmitBatch(world.submit())([a_spec(), unknown, a_spec(), unknown], ALICE)
    assert [place.pointer for place in refused.value.places] == ["/jobs/1/script", "/jobs/3/script"]
    assert world.records.jobs == {}


async def test_everything_that_is_wrong_with_a_job_is_told_at_once(world: World) -> None:
    wrong = a_spec(command=Command(script="other.py"), priority=101)
    with pytest.raises(InvalidJob) as refused:
        await SubmitBatch(world.submit())([a_spec(), wrong], ALICE)
    assert [place.pointer for place in refused.value.places] == ["/jobs/1/priority", "/jobs/1/script"]


async def test_who_may_not_submit_is_not_told_which_scripts_there_are(world: World) -> None:
    with pytest.raises(MissingScope):
        await world.submit()([a_spec(command=Command(script="other.py"))], replace(ALICE, scopes=frozenset()))


async def test_each_script_of_a_batch_is_looked_at_once(world: World) -> None:
    looked = []

    class Watched:
        directory = world.scripts.directory

        def argv(self, script: str) -> tuple[str, ...]:
            looked.append(script)
            return world.scripts.argv(script)

    submit = replace(world.submit(), scripts=Watched())
    await SubmitBatch(submit)([a_spec() for _ in range(5)], ALICE)
    assert len(looked) == 1
