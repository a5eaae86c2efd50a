from domain.attempt import Outcome
from domain.job import Job, JobState
from tests.builders import claim_of
from tests.unit.application.worlds import World


async def renewed(world: World, after: float = 10.0) -> None:
    world.clock.advance(after)
    await world.renew()


async def test_a_claim_whose_answer_was_lost_is_given_back_by_the_second_renewal(world: World) -> None:
    job = await world.claimed()
    await renewed(world)
    assert (await world.job(job.id)).state is JobState.RUNNING
    await renewed(world)
    after = await world.job(job.id)
    assert (after.state, after.attempt) == (JobState.QUEUED, 0)


async def test_a_claim_whose_answer_comes_after_the_first_renewal_is_kept(world: World) -> None:
    job = await world.claimed()
    await renewed(world)
    world.held.take_slot(claim_of(job))
    await renewed(world)
    await renewed(world)
    assert (await world.job(job.id)).state is JobState.RUNNING


async def test_a_claim_that_was_missed_long_ago_and_again_is_missed_anew(world: World) -> None:
    job = await world.claimed()
    await renewed(world)
    world.held.take_slot(claim_of(job))
    await renewed(world)
    world.held.free_slot(claim_of(job))
    await renewed(world)
    assert (await world.job(job.id)).state is JobState.RUNNING


async def test_a_started_attempt_that_nobody_watches_is_lost_once_its_supervisor_must_have_stopped_it(
    world: World,
) -> None:
    job = await world.started()
    await until_ended(world, job, world.held.terms.last_seconds)
    after = await world.job(job.id)
    assert (after.state, after.outcome) == (JobState.FAILED, Outcome.LOST)
    assert after.reason is not None
    assert after.reason.message.startswith("Its worker lost sight of it")


async def until_ended(world: World, job: Job, within: float) -> None:
    """Renews in time, again and again: the attempt must not end before the last deadline has passed."""
    first_missed = world.clock.elapsed() + 10
    while not (await world.job(job.id)).state.is_final:
        assert world.clock.elapsed() < first_missed + within
        await renewed(world)
    assert world.clock.elapsed() >= first_missed + within - world.held.terms.margin_seconds
