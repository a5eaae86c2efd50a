"""From a claim to an accepted report, and what happens when the database is away at each step."""

import asyncio
from dataclasses import replace

import pytest

from application.ports.notifier import JobChanged, JobsWaiting
from application.ports.process_runner import Launch
from application.run_attempt import FULL_SECONDS, LateAttempt
from domain.attempt import Exit, Outcome, Usage
from domain.command import Command
from domain.errors import MachineFull
from domain.event import EventKind
from domain.job import Job, JobState
from domain.log import Stream
from tests.builders import claim_of, keyed, lost, repeatable, report_of
from tests.fakes.process_runner import FakeProcess, FakeProcessRunner
from tests.unit.application.worlds import ALICE, World, ref_of

GOOD = Exit(exit_code=0, usage=Usage(wall_seconds=1.0, cpu_seconds=0.5, max_rss_bytes=1))
BAD = Exit(exit_code=3)


async def ran(world: World, job: Job, exit_: Exit = GOOD) -> Job | None:
    world.runner.exit = exit_
    async with asyncio.timeout(30):
        return await world.run(job)


async def running(world: World, job: Job) -> asyncio.Task[Job | None]:
    """The attempt's task, once its program runs."""
    task = asyncio.create_task(world.run(job))
    await asyncio.wait_for(world.runner.started.wait(), 30)
    return task


# -- what is started ------------------------------------------------------------------------------------


async def test_the_program_is_started_as_the_job_says(world: World) -> None:
    command = Command(script="load.py", parameters={"full": True, "period": "2026-01"}, args=("-x",))
    job = await world.claimed(command=command, environment={"REGION": "eu", "LANG": "de"}, queue="night")
    await ran(world, job)
    launch = world.runner.launches[0]
    assert launch.argv == ("python3", "/scripts/load.py", "--full", "--period=2026-01", "-x")
    assert launch.environment == {
        "PATH": "/bin",
        "LANG": "de",
        "REGION": "eu",
        "PYTHONUNBUFFERED": "1",
        "ETL_JOB_ID": str(job.id),
        "ETL_ATTEMPT": "1",
        "ETL_FENCE": "1",
        "ETL_QUEUE": "night",
    }
    assert (launch.directory, launch.log) == (world.scripts.directory, world.logs.target(ref_of(job)))
    assert (launch.timeout_seconds, launch.stop_grace_seconds) == (60.0, 1.0)


async def test_no_log_may_hold_what_is_secret_in_the_environment_or_in_the_settings(world: World) -> None:
    world.run = replace(world.run, secrets=("of-the-settings",))
    environment = {"API_TOKEN": "abcdef", "SOURCE": "postgresql://u:hunter22@db/x", "REGION": "eu"}
    await ran(world, await world.claimed(environment=environment))
    assert set(world.runner.launches[0].secrets) == {"abcdef", "hunter22", "of-the-settings"}


async def test_the_start_and_the_end_of_an_attempt_are_counted(world: World) -> None:
    await ran(world, await world.claimed())
    await ran(world, await world.claimed(), BAD)
    assert world.meters.read("etl_process_start_seconds_count") == 2
    assert world.meters.read("etl_attempts_total", outcome="succeeded", reason="exit") == 1
    assert world.meters.read("etl_attempts_total", outcome="failed", reason="exit") == 1


async def test_an_end_whose_report_is_refused_is_not_counted(world: World) -> None:
    job = await world.claimed()
    task = await running(world, job)
    await world.queue.report([report_of(job, lost())])
    world.runner.processes[0].end(GOOD)
    with pytest.raises(LateAttempt):
        await task
    assert world.meters.read("etl_attempts_total", outcome="succeeded", reason="exit") == 0


async def test_a_command_is_started_as_it_is(world: World) -> None:
    await ran(world, await world.claimed(command=Command(argv=("/bin/echo", "$HOME"))))
    assert world.runner.launches[0].argv == ("/bin/echo", "$HOME")


async def test_an_attempt_that_may_be_repeated_has_the_short_lease_and_the_last_one_the_long(
    world: World,
) -> None:
    await ran(world, await world.claimed(retry=repeatable(2)))
    await ran(world, await world.claimed())
    short, long = (launch.deadline - world.held.renewed_at for launch in world.runner.launches)
    terms = world.held.terms
    assert (short, long) == (
        terms.seconds - terms.margin_seconds,
        terms.last_seconds - terms.margin_seconds,
    )


async def test_the_start_is_recorded_before_the_program_runs(world: World) -> None:
    job = await world.claimed()
    task = await running(world, job)
    assert (await world.job(job.id)).attempt_started
    assert [held.claim.job_id for held in world.held.all()] == [job.id]
    world.runner.processes[0].end(GOOD)
    await task
    assert world.held.all() == ()


# -- how it ends ----------------------------------------------------------------------------------------


async def test_an_attempt_that_went_well_ends_its_job(world: World) -> None:
    after = await ran(world, await world.claimed())
    assert after is not None
    assert (after.state, after.outcome, after.usage) == (
        JobState.SUCCEEDED,
        Outcome.SUCCEEDED,
        GOOD.usage,
    )
    assert world.runner.processes[0].forgotten
    assert set(world.notifier.published) == {JobChanged(after.id)}


async def test_a_failure_carries_the_end_of_its_log_cleaned_for_display(world: World) -> None:
    job = await world.claimed()
    text = "".join(f"line {n}\n" for n in range(30)) + "\x1b[31mTraceback\n"
    await world.logs.write(ref_of(job), Stream.STDERR, text.encode())
    after = await ran(world, job, BAD)
    assert after is not None
    assert after.reason is not None
    assert (after.state, after.reason.exit_code) == (JobState.FAILED, 3)
    assert after.reason.last_lines == (*(f"line {n}" for n in range(11, 30)), "\ufffd[31mTraceback")


async def test_a_failure_that_is_tried_again_wakes_its_queue(world: World) -> None:
    job = await world.claimed(retry=repeatable(2))
    after = await ran(world, job, BAD)
    assert after is not None
    assert after.state is JobState.QUEUED
    assert JobsWaiting("default") in world.notifier.published


async def test_a_job_that_held_a_limit_wakes_those_behind_it(world: World) -> None:
    await ran(world, await world.claimed(concurrency=keyed("warehouse")))
    assert JobsWaiting("default") in world.notifier.published


async def test_a_script_that_has_gone_since_the_submit_could_not_start(world: World) -> None:
    job = await world.claimed()
    world.scripts.scripts.clear()
    after = await ran(world, job)
    assert after is not None
    assert after.reason is not None
    assert (after.state, after.reason.code) == (JobState.FAILED, "could_not_start")
    assert world.runner.launches == []


# -- what may not start ---------------------------------------------------------------------------------


async def test_a_job_cancelled_before_its_start_is_put_back_and_ends_without_an_attempt(
    world: World,
) -> None:
    job = await world.claimed()
    await world.queue.change(job.id, lambda job: job.cancel(world.clock.now()), ALICE.name)
    assert await ran(world, job) is None
    after = await world.job(job.id)
    assert (after.state, after.attempt, world.runner.launches) == (JobState.CANCELLED, 0, [])
    assert JobChanged(job.id) in world.notifier.published


async def test_a_draining_worker_gives_back_what_it_has_just_claimed(world: World) -> None:
    job = await world.claimed()
    world.held.draining = True
    assert await ran(world, job) is None
    after = await world.job(job.id)
    assert (after.state, after.attempt, world.runner.launches) == (JobState.QUEUED, 0, [])


async def test_a_claim_with_an_old_fence_starts_nothing_and_changes_nothing(world: World) -> None:
    job = await world.claimed(retry=repeatable(3))
    await world.queue.put_back([claim_of(job)])
    assert world.held.session_id is not None
    again = (await world.queue.claim(world.held.session_id, 1))[0]
    assert await ran(world, job) is None
    assert (await world.job(job.id), world.runner.launches) == (again, [])


async def test_a_cancel_behind_a_start_whose_answer_was_lost_ends_the_attempt_as_cancelled(
    world: World,
) -> None:
    job = await world.claimed()
    world.queue.answer_lost["start"] = 1
    task = asyncio.create_task(world.run(job))
    await asyncio.wait_for(world.queue.asked.wait(), 30)
    await world.queue.change(job.id, lambda job: job.cancel(world.clock.now()), ALICE.name)
    after = await asyncio.wait_for(task, 30)
    assert after is not None
    assert (after.state, after.outcome, world.runner.launches) == (
        JobState.CANCELLED,
        Outcome.CANCELLED,
        [],
    )


# -- what the database does meanwhile -------------------------------------------------------------------


async def test_the_report_is_sent_until_the_database_answers(world: World) -> None:
    job = await world.claimed()
    world.queue.away["report"] = 2
    after = await ran(world, job)
    assert after is not None
    assert (after.state, world.queue.calls["report"]) == (JobState.SUCCEEDED, 3)
    assert world.runner.processes[0].forgotten


async def test_a_report_whose_answer_was_lost_counts_once(world: World) -> None:
    job = await world.claimed(retry=repeatable(3))
    world.queue.answer_lost["report"] = 1
    after = await ran(world, job, BAD)
    assert after is not None
    assert (after.state, after.attempt) == (JobState.QUEUED, 1)
    assert [event.kind for event in await world.history.events(job.id)].count(EventKind.RETRY_PLANNED) == 1


async def test_nothing_is_forgotten_before_the_report_was_accepted(world: World) -> None:
    job = await world.claimed()
    task = await running(world, job)
    world.queue.asked.clear()
    world.queue.away["report"] = 1
    world.runner.processes[0].end(GOOD)
    await asyncio.wait_for(world.queue.asked.wait(), 30)
    assert not world.runner.processes[0].forgotten
    await task
    assert world.runner.processes[0].forgotten


@pytest.mark.parametrize(("left", "freed"), [(0, 1), (1, 0)], ids=["ended", "a process is left"])
async def test_the_slot_is_free_while_the_end_is_being_reported(world: World, left: int, freed: int) -> None:
    job = await world.claimed()
    world.held.take_slot(claim_of(job))
    before = world.held.free
    world.queue.away["report"] = 1
    task = asyncio.create_task(ran(world, job, replace(GOOD, processes_left=left)))
    while not world.queue.calls["report"]:
        world.queue.asked.clear()
        await asyncio.wait_for(world.queue.asked.wait(), 30)
    assert (world.held.free - before, world.held.knows(claim_of(job))) == (freed, True)
    await task


async def test_an_attempt_whose_report_is_refused_is_forgotten_and_changes_nothing(world: World) -> None:
    job = await world.claimed(retry=repeatable(3))
    task = await running(world, job)
    await world.queue.report([report_of(job, lost())])
    rescued = await world.job(job.id)
    world.runner.processes[0].end(GOOD)
    with pytest.raises(LateAttempt):
        await task
    assert world.runner.processes[0].forgotten
    assert await world.job(job.id) == rescued


async def test_two_attempts_of_one_job_reported_together_each_hear_their_own_word(world: World) -> None:
    old = await world.started(retry=repeatable(3))
    await world.queue.report([report_of(old, lost())])
    assert world.held.session_id is not None
    new = (await world.queue.claim(world.held.session_id, 1))[0]
    refused, accepted = await asyncio.gather(
        world.run.reports.ended(report_of(old)), world.run.reports.ended(report_of(new))
    )
    assert refused is None
    assert accepted is not None
    assert (accepted.state, accepted.fence) == (JobState.SUCCEEDED, new.fence)


async def test_an_attempt_claimed_under_a_session_that_died_moves_to_the_present_one(world: World) -> None:
    job = await world.claimed(retry=repeatable(2))
    world.clock.advance(world.held.terms.seconds + 1)
    session_id = await world.begin()
    task = await running(world, job)
    held = await world.job(job.id)
    assert (held.session_id, held.attempt) == (session_id, 1)
    world.runner.processes[0].end(GOOD)
    await task


class Slow(FakeProcessRunner):
    """Whose starts take as long as the session takes to die, and another to begin."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    async def start(self, launch: Launch) -> FakeProcess:
        await self.world.session_died()
        await self.world.renew()
        return await super().start(launch)


async def test_an_attempt_whose_session_died_while_it_started_moves_to_the_present_one(world: World) -> None:
    job = await world.claimed()
    world.run = replace(world.run, runner=(runner := Slow(world)))
    task = asyncio.create_task(world.run(job))
    await asyncio.wait_for(runner.started.wait(), 30)
    world.clock.advance(1)
    await world.renew()
    assert (await world.job(job.id)).session_id == world.held.session_id != job.session_id
    assert runner.processes[0].stops == 0
    runner.processes[0].end(GOOD)
    after = await task
    assert after is not None
    assert after.state is JobState.SUCCEEDED


async def test_an_attempt_that_was_lost_while_it_started_is_stopped(world: World) -> None:
    job = await world.claimed(retry=repeatable(2))
    world.run = replace(world.run, runner=(runner := Slow(world)))
    task = asyncio.create_task(world.run(job))
    await asyncio.wait_for(runner.started.wait(), 30)
    runner.processes[0].end(BAD)
    with pytest.raises(LateAttempt):
        await task
    assert runner.processes[0].stops == 1
    assert (await world.job(job.id)).state is JobState.QUEUED


async def test_an_attempt_that_was_lost_with_its_session_is_not_started(world: World) -> None:
    job = await world.claimed(retry=repeatable(2))
    world.clock.advance(world.held.terms.seconds + 1)
    await world.begin()
    world.clock.advance(world.held.terms.seconds + 1)
    assert await ran(world, job) is None
    assert world.runner.launches == []


async def test_f53_a_machine_that_could_make_no_process_claims_nothing_for_a_while(world: World) -> None:
    """F53: or it would fail its whole queue, while other workers have room."""
    world.runner.exit = Exit(start_error="The machine could not make another process.", machine_full=True)
    after = await world.run(await world.claimed())
    assert after is not None
    assert after.reason is not None
    assert after.reason.code == "could_not_start"
    waiting = await world.queued()
    claim = world.claim()
    with pytest.raises(MachineFull):
        await claim()
    world.clock.advance(FULL_SECONDS)
    assert [job.id for job in await claim()] == [waiting.id]
