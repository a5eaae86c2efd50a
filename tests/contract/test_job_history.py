"""The contract of JobHistory: what can be read of jobs, and how they are forgotten."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from application.ports.job_history import JobFilter
from domain.attempt import Outcome
from domain.command import Command
from domain.errors import JobNotFound
from domain.event import EventKind
from domain.job import Job, JobState
from domain.waiting import Surroundings, waiting_for
from tests.builders import (
    NOON,
    a_job,
    a_request,
    claim_of,
    failed,
    jobs,
    keyed,
    repeatable,
    report_of,
    stopped_by_cancel,
    succeeded,
)
from tests.contract.kernels import Kernel, claim_one, join, start_one, submit

EVERYTHING = JobFilter()
FAR = datetime.now(UTC) + timedelta(days=1)


async def ids_of(kernel: Kernel, matching: JobFilter) -> list[UUID]:
    return [job.id for job in await kernel.history.list(matching, None, 200)]


async def finish(kernel: Kernel, job: Job, code: int = 0) -> Job:
    """The one job that waits is claimed and ended."""
    worker = await join(kernel)
    started = await start_one(kernel, worker)
    assert started.id == job.id
    (ended,) = await kernel.queue.report([report_of(started, failed(code) if code else succeeded())])
    return ended


# -- one job -----------------------------------------------------------------------------------------


async def test_a_job_that_does_not_exist_is_not_found_in_any_way(kernel: Kernel) -> None:
    with pytest.raises(JobNotFound):
        await kernel.history.get(uuid4())
    with pytest.raises(JobNotFound):
        await kernel.history.attempts(uuid4())
    with pytest.raises(JobNotFound):
        await kernel.history.events(uuid4())


async def test_a_job_that_was_never_claimed_has_no_attempts(kernel: Kernel) -> None:
    (job,) = await submit(kernel, a_job())
    assert list(await kernel.history.attempts(job.id)) == []


async def test_attempts_come_by_fence_and_tell_all_of_each_try(kernel: Kernel) -> None:
    worker = await join(kernel)
    (job,) = await submit(kernel, a_job(retry=repeatable()))
    await kernel.queue.put_back([claim_of(await claim_one(kernel, worker))])
    ending = failed()
    await kernel.queue.report([report_of(await start_one(kernel, worker), ending)])
    await claim_one(kernel, worker)
    given_back, ended, live = await kernel.history.attempts(job.id)
    assert [(a.fence, a.number) for a in (given_back, ended, live)] == [(1, 1), (2, 1), (3, 2)]
    assert given_back.started_at is None
    assert given_back.finished_at is not None
    assert given_back.ending is None
    assert ended.ending == ending
    assert ended.started_at is not None
    assert (ended.session_id, ended.worker) == (worker.id, worker.name)
    assert (live.started_at, live.finished_at, live.ending) == (None, None, None)


async def test_events_come_in_order_with_who_did_what(kernel: Kernel) -> None:
    worker, other = await join(kernel), await join(kernel, host="host-2")
    (job,) = await submit(kernel, a_job(by="alice", retry=repeatable()))
    await kernel.queue.put_back([claim_of(await claim_one(kernel, worker))])
    first = await start_one(kernel, worker)
    await kernel.queue.report([report_of(first, failed())])
    second = await start_one(kernel, worker)
    await kernel.queue.adopt(other.id, [claim_of(second)])
    await kernel.queue.change(job.id, lambda j: j.cancel(datetime.now(UTC)), "bob")
    await kernel.queue.report([report_of(second, stopped_by_cancel())])
    events = await kernel.history.events(job.id)
    mine, theirs = f"worker {worker.name}", f"worker {other.name}"
    assert [(event.kind, event.actor, event.attempt) for event in events] == [
        (EventKind.SUBMITTED, "alice", 0),
        (EventKind.CLAIMED, mine, 1),
        (EventKind.PUT_BACK, mine, 0),
        (EventKind.CLAIMED, mine, 1),
        (EventKind.STARTED, mine, 1),
        (EventKind.RETRY_PLANNED, mine, 1),
        (EventKind.CLAIMED, mine, 2),
        (EventKind.STARTED, mine, 2),
        (EventKind.ADOPTED, theirs, 2),
        (EventKind.CANCEL_REQUESTED, "bob", 2),
        (EventKind.CANCELLED, theirs, 2),
    ]
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert events[5].detail == "Exited with status 3."
    assert {event.job_id for event in events} == {job.id}
    assert [event.fence for event in events] == [0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]


async def test_events_name_the_worker_that_did_it_where_an_attempt_changed_hands(kernel: Kernel) -> None:
    worker, other = await join(kernel), await join(kernel, host="host-2")
    await submit(kernel, a_job())
    job = await claim_one(kernel, worker)
    await kernel.queue.adopt(other.id, [claim_of(job)])
    await kernel.queue.start([claim_of(job)])
    await kernel.queue.report([report_of(job)])
    mine, theirs = f"worker {worker.name}", f"worker {other.name}"
    _, *events = await kernel.history.events(job.id)
    assert [(event.kind, event.actor) for event in events] == [
        (EventKind.CLAIMED, mine),
        (EventKind.ADOPTED, theirs),
        (EventKind.STARTED, theirs),
        (EventKind.SUCCEEDED, theirs),
    ]
    assert events[-1].detail == "Exited with status 0."


async def test_what_maintenance_does_stands_under_its_name(kernel: Kernel) -> None:
    worker = await join(kernel)
    late, claimed = await submit(kernel, a_job(expires_at=FAR, not_before=FAR - timedelta(hours=1)), a_job())
    await claim_one(kernel, worker)
    await kernel.expire_lease(worker.id)
    await kernel.queue.rescue(10)
    await kernel.make_late(late.id)
    await kernel.queue.expire(10)
    for job, kind in ((late, EventKind.CANCELLED), (claimed, EventKind.PUT_BACK)):
        last = (await kernel.history.events(job.id))[-1]
        assert (last.kind, last.actor) == (kind, "maintenance")


# -- find --------------------------------------------------------------------------------------------


async def test_a_job_is_found_by_the_beginning_of_its_id_with_or_without_hyphens(kernel: Kernel) -> None:
    job, other = await submit(kernel, *jobs(2))
    assert await kernel.history.find(str(job.id), 10) == [job.id]
    assert await kernel.history.find(job.id.hex, 10) == [job.id]
    # Ids of the same moment share their first digits; a length at which these two differ:
    same = next(n for n in range(32) if job.id.hex[n] != other.id.hex[n])
    assert await kernel.history.find(job.id.hex[: same + 1], 10) == [job.id]
    assert await kernel.history.find(str(job.id).upper(), 10) == [job.id]


async def test_a_prefix_of_several_ids_finds_the_newest_first_up_to_the_limit(kernel: Kernel) -> None:
    batch = sorted((job.id for job in await submit(kernel, *jobs(5))), reverse=True)
    shared = str(batch[0])[:6]
    assert await kernel.history.find(shared, 10) == batch
    assert await kernel.history.find(shared, 2) == batch[:2]
    assert await kernel.history.find("", 3) == batch[:3]


async def test_a_prefix_of_no_id_finds_nothing(kernel: Kernel) -> None:
    await submit(kernel, a_job())
    assert list(await kernel.history.find("ffff", 10)) == []


@pytest.mark.parametrize("prefix", ["%", "_", "0%", "zz", "'; --", "0" * 33])
async def test_what_is_no_beginning_of_an_id_finds_nothing(kernel: Kernel, prefix: str) -> None:
    await submit(kernel, a_job())
    assert list(await kernel.history.find(prefix, 10)) == []


# -- list --------------------------------------------------------------------------------------------


async def test_a_list_is_newest_first_and_mixes_live_and_final_jobs(kernel: Kernel) -> None:
    first, second, third = await submit(kernel, *jobs(3))
    await kernel.queue.change(second.id, lambda j: j.cancel(datetime.now(UTC)), "bob")
    assert await ids_of(kernel, EVERYTHING) == [third.id, second.id, first.id]


async def test_pages_cover_everything_once_while_jobs_are_added(kernel: Kernel) -> None:
    batch = [job.id for job in await submit(kernel, *jobs(25))]
    seen: list[UUID] = []
    while page := await kernel.history.list(EVERYTHING, seen[-1] if seen else None, 4):
        seen += [job.id for job in page]
        await submit(kernel, a_job())
    assert seen == sorted(batch, reverse=True)


async def test_a_list_shows_each_job_as_get_does(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, *jobs(4, retry=repeatable(2, 3600.0)))
    await claim_one(kernel, worker)
    await start_one(kernel, worker)
    await kernel.queue.report([report_of(await start_one(kernel, worker), failed())])
    listed = await kernel.history.list(EVERYTHING, None, 10)
    assert list(listed) == [await kernel.history.get(job.id) for job in listed]


async def test_a_list_is_filtered_by_state(kernel: Kernel) -> None:
    done, bad = a_job(), a_job()
    await submit(kernel, done)
    await finish(kernel, done)
    await submit(kernel, bad)
    await finish(kernel, bad, code=1)
    (live,) = await submit(kernel, a_job())
    await claim_one(kernel, await join(kernel))
    gone, waiting = await submit(kernel, *jobs(2))
    await kernel.queue.change(gone.id, lambda j: j.cancel(datetime.now(UTC)), "bob")
    for state, job in zip(JobState, (waiting, live, done, bad, gone), strict=True):
        assert await ids_of(kernel, JobFilter(states=(state,))) == [job.id], state
    both = JobFilter(states=(JobState.QUEUED, JobState.FAILED))
    assert await ids_of(kernel, both) == [waiting.id, bad.id]


async def test_a_state_filter_pages_over_live_and_final_jobs_in_one_order(kernel: Kernel) -> None:
    batch = await submit(kernel, *jobs(9))
    for job in batch[::2]:
        await kernel.queue.change(job.id, lambda j: j.cancel(datetime.now(UTC)), "bob")
    either = JobFilter(states=(JobState.QUEUED, JobState.CANCELLED))
    seen: list[UUID] = []
    while page := await kernel.history.list(either, seen[-1] if seen else None, 2):
        seen += [job.id for job in page]
    assert seen == sorted((job.id for job in batch), reverse=True)


async def test_a_list_is_filtered_by_queue_script_and_labels(kernel: Kernel) -> None:
    mine = a_job(queue="etl", labels={"team": "data", "tier": "1"})
    other = a_job(queue="etl", labels={"team": "data"}, command=Command(script="other.py"))
    bare = a_job(command=Command(argv=("/bin/true",)))
    await submit(kernel, mine, other, bare)
    assert await ids_of(kernel, JobFilter(queue="etl")) == [other.id, mine.id]
    assert await ids_of(kernel, JobFilter(script="other.py")) == [other.id]
    assert await ids_of(kernel, JobFilter(labels=(("team", "data"),))) == [other.id, mine.id]
    assert await ids_of(kernel, JobFilter(labels=(("team", "data"), ("tier", "1")))) == [mine.id]
    assert await ids_of(kernel, JobFilter(labels=(("team", "date"),))) == []
    assert await ids_of(kernel, JobFilter(labels=(("tier", "2"), ("tier", "1")))) == []  # all must match
    assert await ids_of(kernel, JobFilter(labels=(("tier", "1"), ("tier", "1")))) == [mine.id]
    assert await ids_of(kernel, JobFilter(queue="etl", script="load.py")) == [mine.id]
    assert await ids_of(kernel, JobFilter(queue="default")) == [bare.id]


async def test_a_list_is_filtered_by_the_time_of_submission(kernel: Kernel) -> None:
    morning, noon, evening = (a_job(at=NOON + timedelta(hours=h)) for h in (-6, 0, 6))
    await submit(kernel, morning, noon, evening)
    hour = timedelta(hours=1)
    assert await ids_of(kernel, JobFilter(submitted_after=NOON - hour)) == [evening.id, noon.id]
    assert await ids_of(kernel, JobFilter(submitted_before=NOON + hour)) == [noon.id, morning.id]
    assert await ids_of(kernel, JobFilter(submitted_after=NOON)) == [evening.id]
    between = JobFilter(submitted_after=NOON - hour, submitted_before=NOON + hour)
    assert await ids_of(kernel, between) == [noon.id]


# -- surroundings ------------------------------------------------------------------------------------


async def why(kernel: Kernel, job: Job) -> str | None:
    return waiting_for(job, await kernel.history.surroundings(job), datetime.now(UTC))


async def test_a_queued_job_without_a_worker_says_so(kernel: Kernel) -> None:
    (job,) = await submit(kernel, a_job(queue="etl"))
    assert await kernel.history.surroundings(job) == Surroundings()
    await join(kernel, "other")
    gone, draining = await join(kernel, "etl"), await join(kernel, "etl")
    await kernel.registry.leave(gone.id)
    await kernel.registry.drain(draining.id)
    assert (await kernel.history.surroundings(job)).workers_serving == 0
    assert await why(kernel, job) == "No live worker serves queue 'etl'."


async def test_workers_that_serve_the_queue_are_counted_with_their_free_slots(kernel: Kernel) -> None:
    worker = await join(kernel, slots=3)
    await join(kernel, "default", slots=2)
    await submit(kernel, a_job(priority=1))
    await claim_one(kernel, worker)
    (job,) = await submit(kernel, a_job())
    around = await kernel.history.surroundings(job)
    assert (around.workers_serving, around.free_slots, around.ahead) == (2, 4, 0)
    assert str(await why(kernel, job)).startswith("About to be claimed.")


async def test_a_job_knows_how_many_of_its_queue_are_ahead(kernel: Kernel) -> None:
    await join(kernel)
    older, _ = await submit(kernel, a_job(), a_job(queue="other"))
    (job,) = await submit(kernel, a_job())
    await submit(kernel, a_job(priority=1), a_job(), a_job(priority=9, not_before=FAR))
    around = await kernel.history.surroundings(job)
    assert (around.ahead, around.ahead_is_more) == (2, False)
    assert (await kernel.history.surroundings(older)).ahead == 1


async def test_the_count_of_jobs_ahead_is_bounded(kernel: Kernel) -> None:
    await join(kernel)
    await submit(kernel, *jobs(999))
    await submit(kernel, *jobs(300))
    (job,) = await submit(kernel, a_job())
    around = await kernel.history.surroundings(job)
    assert 1 <= around.ahead < 1299
    assert around.ahead_is_more


async def test_a_job_of_a_paused_queue_names_who_paused_it(kernel: Kernel) -> None:
    (job,) = await submit(kernel, a_job())
    await kernel.queue.pause("default", "bob")
    assert await why(kernel, job) == "Queue 'default' was paused by bob."


async def test_a_job_behind_a_full_key_names_its_holders(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, *jobs(3, concurrency=keyed("sales", 2)))
    holders = {job.id for job in await kernel.queue.claim(worker.id, 10)}
    assert len(holders) == 2
    (waiting,) = await kernel.history.list(JobFilter(states=(JobState.QUEUED,)), None, 10)
    held = (await kernel.history.surroundings(waiting)).held
    assert held is not None
    assert (held.name, held.limit, set(held.holders)) == ("sales", 2, holders)


async def test_a_job_behind_the_slots_of_its_queue_names_their_holders(kernel: Kernel) -> None:
    worker = await join(kernel)
    await kernel.queue.set_slots("default", 1)
    await submit(kernel, *jobs(2))
    holder = await claim_one(kernel, worker)
    (waiting,) = await kernel.history.list(JobFilter(states=(JobState.QUEUED,)), None, 10)
    held = (await kernel.history.surroundings(waiting)).held
    assert held is not None
    assert (held.limit, set(held.holders)) == (1, {holder.id})
    await kernel.queue.report([report_of(holder)])
    assert (await kernel.history.surroundings(waiting)).held is None


# -- prune -------------------------------------------------------------------------------------------


async def test_a_prune_deletes_final_jobs_with_all_that_belongs_to_them(kernel: Kernel) -> None:
    job = a_job()
    await kernel.queue.submit([job], a_request(digest=b"one"))
    await finish(kernel, job)
    assert list(await kernel.history.prune(FAR, 10)) == [job.id]
    for read in (kernel.history.get, kernel.history.attempts, kernel.history.events):
        with pytest.raises(JobNotFound):
            await read(job.id)
    assert await ids_of(kernel, EVERYTHING) == []
    assert list(await kernel.history.find(str(job.id), 10)) == []
    assert not (await kernel.queue.submit([a_job()], a_request(digest=b"two"))).replayed


async def test_a_prune_spares_live_jobs_and_those_that_ended_later(kernel: Kernel) -> None:
    done = a_job()
    await submit(kernel, done)
    ended = await finish(kernel, done)
    await submit(kernel, *jobs(2))
    await claim_one(kernel, await join(kernel))
    assert ended.finished_at is not None
    assert list(await kernel.history.prune(ended.finished_at - timedelta(seconds=1), 10)) == []
    assert list(await kernel.history.prune(FAR, 10)) == [done.id]
    assert len(await ids_of(kernel, EVERYTHING)) == 2


async def test_a_prune_deletes_no_more_than_its_limit(kernel: Kernel) -> None:
    for job in await submit(kernel, *jobs(5)):
        await kernel.queue.change(job.id, lambda j: j.cancel(datetime.now(UTC)), "bob")
    assert len(await kernel.history.prune(FAR, 2)) == 2
    assert len(await kernel.history.prune(FAR, 10)) == 3


async def test_rival_prunes_delete_each_job_once(kernel: Kernel) -> None:
    for job in await submit(kernel, *jobs(20)):
        await kernel.queue.change(job.id, lambda j: j.cancel(datetime.now(UTC)), "bob")
    answers = await asyncio.gather(*(kernel.history.prune(FAR, 5) for _ in range(8)))
    pruned = [job_id for answer in answers for job_id in answer]
    pruned += await kernel.history.prune(FAR, 20)
    assert len(pruned) == len(set(pruned)) == 20


async def test_a_lost_attempt_is_history_too(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job(retry=repeatable()))
    job = await start_one(kernel, worker)
    await kernel.expire_lease(worker.id)
    await kernel.queue.rescue(10)
    (attempt,) = await kernel.history.attempts(job.id)
    assert attempt.ending is not None
    assert (attempt.ending.outcome, attempt.ending.reason.code) == (Outcome.LOST, "lost")
    assert [e.kind for e in await kernel.history.events(job.id)][-1] is EventKind.RETRY_PLANNED
