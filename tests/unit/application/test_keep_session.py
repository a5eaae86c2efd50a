"""A worker's session: what a renewal extends, stops and leaves alone, and how it begins again."""

from contextlib import ExitStack
from dataclasses import replace

import pytest

from adapters.memory.worker_registry import MemoryWorkerRegistry
from application.ports.worker_registry import Renewal
from domain.errors import DatabaseUnavailable
from domain.job import Job
from domain.worker import Holding, LeaseTerms, Worker
from tests.builders import lost, repeatable, report_of
from tests.unit.application.worlds import ALICE, World


def deadline(world: World, job: Job) -> float:
    return world.held.deadline(is_last_attempt=job.is_last_attempt)


async def test_a_session_begins_with_a_lease_that_is_reckoned_from_before_it_was_asked_for(
    world: World,
) -> None:
    asked_at = world.clock.elapsed()
    session_id = await world.begin()
    assert (world.held.session_id, world.held.renewed_at) == (session_id, asked_at)


async def test_a_renewal_extends_what_is_held(world: World) -> None:
    job = await world.started(retry=repeatable(2))
    holds = world.holds(job)
    world.clock.advance(10)
    with world.held.holding(holds.held):
        await world.renew()
    assert holds.process.deadlines == [world.clock.elapsed() + 50.0] == [deadline(world, job)]
    assert holds.process.stops == 0


async def test_a_renewal_stops_what_was_cancelled_and_leaves_it_the_time_for_its_grace(
    world: World,
) -> None:
    job = await world.started()
    holds = world.holds(job)
    await world.queue.change(job.id, lambda job: job.cancel(world.clock.now()), ALICE.name)
    world.clock.advance(10)
    with world.held.holding(holds.held):
        await world.renew()
    assert (holds.process.stops, holds.process.deadlines) == (1, [deadline(world, job)])


async def test_a_renewal_stops_what_is_no_longer_ours(world: World) -> None:
    job = await world.started(retry=repeatable(2))
    holds = world.holds(job)
    await world.queue.report([report_of(job, lost())])
    world.clock.advance(10)
    with world.held.holding(holds.held):
        await world.renew()
    assert (holds.process.stops, holds.process.deadlines) == (1, [])


async def test_an_attempt_that_is_younger_than_the_question_is_not_stopped(world: World) -> None:
    await world.begin()
    world.clock.advance(10)
    holds = world.holds(await world.queued())  # no renewal knows of it
    with world.held.holding(holds.held):
        await world.renew()
    assert (holds.process.stops, holds.process.deadlines) == (0, [])


async def test_a_renewal_tells_what_is_held_and_whether_to_drain(world: World) -> None:
    job = await world.started()
    assert job.session_id is not None
    await world.registry.drain(job.session_id)
    renewal = await world.renew()
    assert renewal is not None
    holding = Holding(job_id=job.id, fence=job.fence, is_last_attempt=True, cancel_requested=False)
    assert (renewal.holdings, renewal.draining) == ((holding,), True)


async def test_without_a_session_nothing_is_renewed(world: World) -> None:
    assert await world.renew() is None
    assert world.records.sessions == {}


async def test_a_dead_session_begins_again_and_adopts_what_is_still_its_own(world: World) -> None:
    job = await world.started()
    holds, before = world.holds(job), world.held.session_id
    await world.session_died()
    with world.held.holding(holds.held):
        assert await world.renew() is None
    assert world.held.session_id != before
    assert (await world.job(job.id)).session_id == world.held.session_id
    assert (holds.process.deadlines, holds.process.stops) == ([deadline(world, job)], 0)


async def test_what_was_lost_with_the_dead_session_is_stopped(world: World) -> None:
    job = await world.started(retry=repeatable(2))
    holds = world.holds(job)
    await world.session_died()
    with world.held.holding(holds.held):
        assert await world.renew() is None
    assert (holds.process.deadlines, holds.process.stops) == ([], 1)


async def test_an_attempt_that_is_first_held_while_a_new_session_is_begun_moves_to_it(world: World) -> None:
    job = await world.started()
    holds = world.holds(job)
    await world.session_died()
    with ExitStack() as stack:

        class Joined(MemoryWorkerRegistry):
            async def join(self, worker: Worker, terms: LeaseTerms) -> None:
                await super().join(worker, terms)
                stack.enter_context(world.held.holding(holds.held))

        joined = Joined(world.records, world.clock)
        world.renew = replace(world.renew, begin=replace(world.renew.begin, workers=joined))
        assert await world.renew() is None
        assert (await world.job(job.id)).session_id == world.held.session_id
        world.clock.advance(1)
        await world.renew()
    assert holds.process.stops == 0


async def test_an_adoption_that_the_database_did_not_answer_is_asked_for_again(world: World) -> None:
    job = await world.started()
    holds = world.holds(job)
    renewed_at = world.held.renewed_at
    await world.session_died()
    world.queue.away["adopt"] = 1
    with world.held.holding(holds.held):
        with pytest.raises(DatabaseUnavailable):
            await world.renew()
        assert world.held.renewed_at == renewed_at  # no deadline is reckoned from a lease that holds nothing
        assert await world.renew() is None
        renewal = await world.renew()
    assert renewal is not None
    assert [holding.job_id for holding in renewal.holdings] == [job.id]
    assert holds.process.stops == 0


@pytest.mark.parametrize(("after", "how"), [(20.0, "in_time"), (20.5, "late")])
async def test_a_renewal_is_late_from_two_pauses_on(world: World, after: float, how: str) -> None:
    await world.begin()
    world.clock.advance(after)
    await world.renew()
    assert world.meters.read("etl_lease_renewals_total", result=how) == 1


async def test_a_renewal_that_finds_the_session_dead_is_told_apart(world: World) -> None:
    await world.begin()
    await world.session_died()
    await world.renew()
    assert world.meters.read("etl_lease_renewals_total", result="dead") == 1


async def test_a_renewal_that_is_not_answered_is_counted_as_failed(world: World) -> None:
    class Away(MemoryWorkerRegistry):
        async def renew(self, *_: object) -> Renewal | None:
            raise DatabaseUnavailable("The database does not answer.")

    await world.begin()
    with pytest.raises(DatabaseUnavailable):
        await replace(world.renew, workers=Away(world.records, world.clock))()
    assert world.meters.read("etl_lease_renewals_total", result="failed") == 1
