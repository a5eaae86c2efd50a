from datetime import timedelta
from uuid import uuid4

import pytest

from application.held_attempts import HeldAttempts
from application.ports.job_queue import Claim
from domain.worker import LeaseTerms
from tests.unit.application.worlds import World


def a_claim() -> Claim:
    return Claim(job_id=uuid4(), fence=1)


def test_a_taken_slot_is_not_free_and_a_freed_one_wakes_the_claim() -> None:
    held, claim = HeldAttempts(2, LeaseTerms()), a_claim()
    held.take_slot(claim)
    assert (held.free, held.taken, held.wake.is_set()) == (1, 1, False)
    held.free_slot(claim)
    assert (held.free, held.taken, held.wake.is_set()) == (2, 0, True)


def test_a_slot_is_vacated_when_its_program_has_ended_and_no_more_reports_are_owed_than_slots() -> None:
    held, first, second, third = HeldAttempts(1, LeaseTerms()), a_claim(), a_claim(), a_claim()
    held.take_slot(first)
    held.vacate_slot(first)
    assert (held.free, held.used, held.taken, held.wake.is_set()) == (1, 0, 1, True)
    assert held.knows(first)
    held.take_slot(second)
    held.vacate_slot(second)
    assert (held.free, held.taken) == (0, 2)
    held.wake.clear()
    held.free_slot(first)
    assert (held.free, held.taken, held.wake.is_set()) == (1, 1, True)
    held.wake.clear()
    held.free_slot(second)
    assert (held.free, held.taken, held.wake.is_set()) == (1, 0, False)
    held.take_slot(third)
    assert (held.free, held.taken) == (0, 1)


def test_an_adopted_attempt_takes_a_slot_past_the_limit_and_leaves_none_free() -> None:
    held = HeldAttempts(1, LeaseTerms())
    held.take_slot(a_claim())
    held.take_slot(a_claim())
    assert (held.free, held.taken) == (0, 2)


def test_a_deadline_lies_a_margin_before_the_end_of_the_lease() -> None:
    held = HeldAttempts(1, LeaseTerms(seconds=60, last_seconds=900, margin_seconds=10))
    held.renewed_at = 1000.0
    assert held.deadline(is_last_attempt=False) == 1050.0
    assert held.deadline(is_last_attempt=True) == 1890.0


async def test_stop_reaches_the_attempt_of_its_job_alone(world: World) -> None:
    one, other = world.holds(await world.started()), world.holds(await world.started())
    with world.held.holding(one.held), world.held.holding(other.held):
        world.held.stop(one.held.claim.job_id)
    assert (one.process.stops, other.process.stops) == (1, 0)
    world.held.stop(one.held.claim.job_id)
    assert one.process.stops == 1


async def test_stop_all_reaches_what_runs_and_what_is_just_being_started(world: World) -> None:
    running, starting = world.holds(await world.started()), world.holds(await world.started())
    with world.held.holding(running.held):
        assert world.held.unsettled == 1
        world.held.stop_all()
        with world.held.holding(starting.held):
            assert (running.process.stops, starting.process.stops, world.held.unsettled) == (1, 1, 0)


async def test_an_attempt_that_failed_within_the_worker_is_held_no_more(world: World) -> None:
    holds = world.holds(await world.started())
    with pytest.raises(ZeroDivisionError), world.held.holding(holds.held):
        raise ZeroDivisionError
    assert world.held.all() == ()


async def test_a_worker_claims_as_many_jobs_as_it_has_free_slots(world: World) -> None:
    await world.begin()
    for _ in range(6):
        await world.queued()
    world.held.take_slot(a_claim())
    assert len(await world.claim()()) == 3


@pytest.mark.parametrize("why", ["no session", "no free slot"])
async def test_a_worker_without_a_session_or_a_slot_claims_nothing(world: World, why: str) -> None:
    await world.queued()
    if why == "no free slot":
        await world.begin()
        for _ in range(4):
            world.held.take_slot(a_claim())
    assert await world.claim()() == ()


async def test_a_claim_is_measured_with_the_wait_of_its_jobs(world: World) -> None:
    await world.begin()
    await world.queued()
    await world.queued(not_before=world.clock.now() + timedelta(seconds=5))
    world.clock.advance(8)
    assert len(await world.claim()()) == 2
    assert world.meters.read("etl_jobs_claimed_total") == 2
    assert world.meters.read("etl_job_wait_seconds_sum") == 8 + 3


async def test_a_notice_is_measured_by_the_claim_that_it_caused_once(world: World) -> None:
    await world.begin()
    await world.queued()
    world.held.hear(world.clock.elapsed())
    world.clock.advance(0.5)
    world.held.hear(world.clock.elapsed())
    assert world.held.wake.is_set()
    await world.claim()()
    await world.queued()
    await world.claim()()
    assert world.meters.read("etl_wakeup_seconds_count") == 1
    assert world.meters.read("etl_wakeup_seconds_sum") == 0.5


async def test_a_notice_that_brought_nothing_or_found_no_slot_is_not_measured(world: World) -> None:
    await world.begin()
    world.held.hear(world.clock.elapsed())
    await world.claim()()
    claims = [a_claim() for _ in range(4)]
    for claim in claims:
        world.held.take_slot(claim)
    world.held.hear(world.clock.elapsed())
    world.held.free_slot(claims[0])
    await world.queued()
    await world.claim()()
    assert world.meters.read("etl_jobs_claimed_total") == 1
    assert world.meters.read("etl_wakeup_seconds_count") == 0
