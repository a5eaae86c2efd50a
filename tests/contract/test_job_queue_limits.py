"""The contract of JobQueue: named queues, their pauses, and the limits of queues and keys."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from domain.errors import QueueNotFound
from domain.job import JobState
from tests.builders import (
    a_job,
    claim_of,
    failed,
    jobs,
    keyed,
    repeatable,
    report_of,
    stopped_by_cancel,
)
from tests.contract.kernels import RIVALS, Kernel, cancel, claim_one, join, start_one, submit

# -- queues ------------------------------------------------------------------------------------------


async def test_every_queue_that_was_named_is_listed_by_name_with_what_is_in_it(kernel: Kernel) -> None:
    worker = await join(kernel, "b")
    later = datetime.now(UTC) + timedelta(hours=1)
    await submit(kernel, *jobs(3, queue="b"), a_job(queue="b", not_before=later), a_job(queue="a"))
    await kernel.queue.set_slots("c", 7)
    await claim_one(kernel, worker)
    a, b, c = await kernel.queue.queues()
    assert [a.name, b.name, c.name] == ["a", "b", "c"]
    assert (b.waiting, b.scheduled, b.running) == (2, 1, 1)
    assert (c.waiting, c.scheduled, c.running, c.slots) == (0, 0, 0, 7)
    assert c.oldest_waiting_since is None


async def test_a_queue_tells_since_when_its_oldest_job_could_have_run(kernel: Kernel) -> None:
    hour_ago = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    await submit(kernel, a_job(at=hour_ago), a_job(at=hour_ago + timedelta(minutes=30)))
    (queue,) = await kernel.queue.queues()
    assert queue.oldest_waiting_since == hour_ago


async def test_a_job_behind_a_full_limit_counts_as_waiting(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, *jobs(3, concurrency=keyed("sales")))
    await claim_one(kernel, worker)
    assert await kernel.queue.claim(worker.id, 10) == []
    (queue,) = await kernel.queue.queues()
    assert (queue.waiting, queue.running) == (2, 1)


async def test_a_queue_that_nobody_named_cannot_be_paused_or_resumed(kernel: Kernel) -> None:
    with pytest.raises(QueueNotFound):
        await kernel.queue.pause("nowhere", "bob")
    with pytest.raises(QueueNotFound):
        await kernel.queue.resume("nowhere")


async def test_setting_slots_makes_the_queue_and_keeps_its_pause(kernel: Kernel) -> None:
    made = await kernel.queue.set_slots("new", 3)
    assert (made.name, made.slots) == ("new", 3)
    await kernel.queue.pause("new", "bob")
    assert (await kernel.queue.set_slots("new", 4)).paused_by == "bob"


async def test_a_queue_outlives_its_jobs(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job(queue="once"))
    await kernel.queue.report([report_of(await start_one(kernel, worker))])
    (queue,) = await kernel.queue.queues()
    assert (queue.name, queue.waiting, queue.running) == ("once", 0, 0)


async def test_of_20_rivals_that_name_a_new_queue_all_find_it(kernel: Kernel) -> None:
    await asyncio.gather(*(kernel.queue.submit([a_job(queue="new")]) for _ in range(RIVALS)))
    (queue,) = await kernel.queue.queues()
    assert (queue.name, queue.waiting) == ("new", RIVALS)


# -- limits ------------------------------------------------------------------------------------------


async def test_a_paused_queue_gives_nothing_until_it_is_resumed(kernel: Kernel) -> None:
    worker = await join(kernel)
    _, open_job = await submit(kernel, a_job(queue="closed", priority=9), a_job(queue="open"))
    paused = await kernel.queue.pause("closed", "bob")
    assert paused.paused_by == "bob"
    assert paused.paused_at is not None
    assert [job.id for job in await kernel.queue.claim(worker.id, 10)] == [open_job.id]
    resumed = await kernel.queue.resume("closed")
    assert (resumed.paused_at, resumed.paused_by) == (None, None)
    assert (await claim_one(kernel, worker)).spec.queue == "closed"


async def test_a_pause_leaves_running_jobs_alone(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    job = await claim_one(kernel, worker)
    await kernel.queue.pause("default", "bob")
    assert await kernel.queue.start([claim_of(job)]) == [claim_of(job)]
    (ended,) = await kernel.queue.report([report_of(job)])
    assert ended.state is JobState.SUCCEEDED


async def test_a_queue_runs_no_more_than_its_slots(kernel: Kernel) -> None:
    worker = await join(kernel)
    await kernel.queue.set_slots("default", 2)
    await submit(kernel, *jobs(5))
    held = await kernel.queue.claim(worker.id, 10)
    assert len(held) == 2
    assert await kernel.queue.claim(worker.id, 10) == []
    await kernel.queue.report([report_of(held[0])])
    assert len(await kernel.queue.claim(worker.id, 10)) == 1


async def test_slots_that_are_raised_lowered_or_taken_away_count_from_the_next_claim(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, *jobs(8))
    assert (await kernel.queue.set_slots("default", 1)).slots == 1
    held = list(await kernel.queue.claim(worker.id, 10))
    assert len(held) == 1
    await kernel.queue.set_slots("default", 3)
    held += await kernel.queue.claim(worker.id, 10)
    assert len(held) == 3
    await kernel.queue.set_slots("default", 1)
    await kernel.queue.report([report_of(job) for job in held[:2]])
    assert await kernel.queue.claim(worker.id, 10) == []
    assert (await kernel.queue.set_slots("default", None)).slots is None
    assert len(await kernel.queue.claim(worker.id, 10)) == 5


async def test_slots_that_are_set_while_jobs_run_count_those_too(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, *jobs(5))
    held = await kernel.queue.claim(worker.id, 2)
    await kernel.queue.set_slots("default", 3)
    assert len(await kernel.queue.claim(worker.id, 10)) == 1
    assert await kernel.queue.claim(worker.id, 10) == []
    await kernel.queue.report([report_of(job) for job in held])
    assert len(await kernel.queue.claim(worker.id, 10)) == 2


async def test_a_queue_of_no_slots_runs_nothing(kernel: Kernel) -> None:
    worker = await join(kernel)
    await kernel.queue.set_slots("default", 0)
    await submit(kernel, a_job())
    assert await kernel.queue.claim(worker.id, 10) == []


async def test_jobs_of_one_key_run_no_more_than_the_limit_at_once_over_all_queues(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(
        kernel, *(a_job(queue=queue, concurrency=keyed("sales", 2)) for queue in ("a", "b", "c", "d"))
    )
    held = await kernel.queue.claim(worker.id, 10)
    assert len(held) == 2
    assert await kernel.queue.claim(worker.id, 10) == []
    await kernel.queue.report([report_of(held[0], failed())])
    assert len(await kernel.queue.claim(worker.id, 10)) == 1


async def test_a_full_key_does_not_stand_in_the_way_of_other_jobs(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, *jobs(5, concurrency=keyed("sales"), priority=9))
    other, free = await submit(kernel, a_job(concurrency=keyed("stock")), a_job())
    claimed = {job.id for job in await kernel.queue.claim(worker.id, 10)}
    claimed |= {job.id for job in await kernel.queue.claim(worker.id, 10)}
    assert {other.id, free.id} < claimed
    assert len(claimed) == 3


async def test_each_job_counts_all_holders_of_its_key_against_its_own_limit(kernel: Kernel) -> None:
    worker = await join(kernel)
    (wide,) = await submit(kernel, a_job(concurrency=keyed("sales", 5)))
    assert (await claim_one(kernel, worker)).id == wide.id
    (narrow,) = await submit(kernel, a_job(concurrency=keyed("sales", 1)))
    assert await kernel.queue.claim(worker.id, 10) == []
    (second,) = await submit(kernel, a_job(concurrency=keyed("sales", 2)))
    assert [job.id for job in await kernel.queue.claim(worker.id, 10)] == [second.id]
    (third,) = await submit(kernel, a_job(concurrency=keyed("sales", 2)))
    assert await kernel.queue.claim(worker.id, 10) == []
    for job in (wide, second):
        await kernel.queue.report([report_of(await kernel.history.get(job.id))])
    await kernel.queue.promote()
    first_in = await claim_one(kernel, worker)
    assert first_in.id in {narrow.id, third.id}


async def test_a_key_is_free_again_however_its_holder_went(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, *jobs(6, concurrency=keyed("sales"), retry=repeatable(delay_seconds=3600)))

    retried = await start_one(kernel, worker)
    assert await kernel.queue.claim(worker.id, 10) == []
    await kernel.queue.report([report_of(retried, failed())])

    given_back = await claim_one(kernel, worker)
    await kernel.queue.put_back([claim_of(given_back)])

    cancelled = await start_one(kernel, worker)
    await kernel.queue.change(cancelled.id, cancel, "bob")
    await kernel.queue.report([report_of(cancelled, stopped_by_cancel())])

    rescued = await start_one(kernel, worker)
    await kernel.expire_lease(worker.id)
    assert [job.id for job in await kernel.queue.rescue(10)] == [rescued.id]

    other = await join(kernel)
    held = await start_one(kernel, other)
    assert held.id not in {retried.id, cancelled.id, rescued.id}
    assert await kernel.queue.claim(other.id, 10) == []


@pytest.mark.parametrize("limit", [1, 3])
async def test_eight_rivals_never_exceed_the_limit_of_a_key(kernel: Kernel, limit: int) -> None:
    await submit(kernel, *jobs(24, concurrency=keyed("sales", limit)))
    most = await run_all_counting(kernel, expected=24)
    assert most <= limit


@pytest.mark.parametrize("slots", [1, 3])
async def test_eight_rivals_never_exceed_the_slots_of_a_queue(kernel: Kernel, slots: int) -> None:
    await kernel.queue.set_slots("default", slots)
    await submit(kernel, *jobs(24))
    most = await run_all_counting(kernel, expected=24)
    assert most <= slots


async def run_all_counting(kernel: Kernel, expected: int) -> int:
    """Eight workers run everything to its end; returns the most jobs that were held at one moment."""
    workers = [await join(kernel) for _ in range(8)]
    held, most, done = 0, 0, 0

    async def work(session: int) -> None:
        nonlocal held, most, done
        while done < expected:
            claimed = await kernel.queue.claim(workers[session].id, 2)
            # Counted twice: by what was handed out, and by the store in one snapshot while rivals go on.
            held += len(claimed)
            (queue,) = await kernel.queue.queues()
            most = max(most, held, queue.running)
            held -= len(claimed)
            # Not in one step: `done +=` would read `done` before it waits.
            reported = await kernel.queue.report([report_of(job) for job in claimed])
            done += len(reported)
            if not claimed:
                await kernel.queue.promote()

    async with asyncio.timeout(60):
        await asyncio.gather(*(work(session) for session in range(8)))
    assert most > 0
    return most


async def test_a_promote_that_has_nothing_to_release_releases_nothing(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, *jobs(3, concurrency=keyed("sales")))
    await claim_one(kernel, worker)
    assert await kernel.queue.promote() == 0
    assert await kernel.queue.claim(worker.id, 10) == []


async def test_a_cancelled_job_never_takes_the_place_of_one_that_waits_for_the_same_key(
    kernel: Kernel,
) -> None:
    worker = await join(kernel)
    first, second, third = await submit(kernel, *jobs(3, concurrency=keyed("sales")))
    held = await claim_one(kernel, worker)
    assert held.id == first.id
    assert await kernel.queue.claim(worker.id, 10) == []
    await kernel.queue.change(second.id, cancel, "bob")
    await kernel.queue.report([report_of(held)])
    await kernel.queue.promote()
    assert (await claim_one(kernel, worker)).id == third.id
