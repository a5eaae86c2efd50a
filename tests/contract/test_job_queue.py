"""The contract of JobQueue: what every store of jobs promises to callers."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from application.ports.job_queue import Idempotency, Submitted
from domain.attempt import Outcome
from domain.errors import (
    IdempotencyKeyReused,
    IllegalTransition,
    JobIsFinal,
    JobNotFound,
    Unauthenticated,
)
from domain.event import EventKind
from domain.job import Job, JobState
from domain.policy import ConcurrencyLimit
from tests.builders import (
    NOON,
    a_job,
    a_key,
    a_request,
    claim_of,
    failed,
    jobs,
    keyed,
    repeatable,
    report_of,
    succeeded,
)
from tests.contract.kernels import RIVALS, Kernel, cancel, claim_one, join, start_one, stored, submit

# -- submit ------------------------------------------------------------------------------------------


async def test_a_submitted_job_is_read_back_as_it_was_given(kernel: Kernel) -> None:
    job = a_job(
        not_before=datetime.now(UTC) + timedelta(hours=1),
        expires_at=datetime.now(UTC) + timedelta(hours=2),
        environment={"REGION": "eu"},
        labels={"team": "data", "über": "ja"},
        concurrency=keyed("sales", 2),
        retry=repeatable(exit_codes=(75,), on=(Outcome.FAILED,)),
        priority=-7,
    )
    assert (await kernel.queue.submit([job])).jobs == (job,)
    assert await kernel.history.get(job.id) == job


async def test_a_batch_is_submitted_as_a_whole_and_answered_in_order(kernel: Kernel) -> None:
    batch = jobs(50)
    submitted = await kernel.queue.submit(batch)
    assert submitted.jobs == tuple(batch)
    assert not submitted.replayed
    assert {job.id for job in await stored(kernel)} == {job.id for job in batch}


async def test_jobs_that_are_submitted_at_once_are_each_answered_for_themselves(kernel: Kernel) -> None:
    new = [a_job(queue=f"q{n % 3}", concurrency=keyed("k") if n % 5 == 0 else None) for n in range(RIVALS)]
    twice = new[1]
    answers = await asyncio.gather(*(kernel.queue.submit([job]) for job in [*new, twice]))
    assert [answer.jobs for answer in answers] == [(job,) for job in [*new, twice]]
    assert {job.id for job in await stored(kernel)} == {job.id for job in new}


async def test_a_refused_batch_leaves_nothing_behind(kernel: Kernel) -> None:
    await kernel.queue.submit([a_job()], a_request(digest=b"one"))
    with pytest.raises(IdempotencyKeyReused):
        await kernel.queue.submit(jobs(3, queue="never"), a_request(digest=b"other"))
    assert len(await stored(kernel)) == 1
    assert [queue.name for queue in await kernel.queue.queues()] == ["default"]


async def test_a_job_that_comes_with_a_key_that_stands_is_stored(kernel: Kernel) -> None:
    key, job = a_key(), a_job()
    await kernel.access.add(key)
    assert await kernel.queue.submit([job], None, key.id) == Submitted(jobs=(job,))
    assert await stored(kernel) == [job]


@pytest.mark.parametrize("request_", [None, a_request()], ids=["plain", "idempotent"])
@pytest.mark.parametrize("limit", [None, keyed("k")], ids=["free", "limited"])
@pytest.mark.parametrize("count", [1, 3])
async def test_what_comes_with_a_key_that_is_revoked_or_unknown_leaves_nothing_behind(
    kernel: Kernel, request_: Idempotency | None, limit: ConcurrencyLimit | None, count: int
) -> None:
    key = a_key()
    await kernel.access.add(key)
    await kernel.access.revoke(key.id, NOON)
    for key_id in (key.id, uuid4()):
        with pytest.raises(Unauthenticated):
            await kernel.queue.submit(jobs(count, queue="never", concurrency=limit), request_, key_id)
    assert await stored(kernel) == []
    assert list(await kernel.queue.queues()) == []
    assert not (await kernel.queue.submit(jobs(count), request_)).replayed


async def test_a_replay_too_is_for_a_key_that_stands_alone(kernel: Kernel) -> None:
    key = a_key()
    await kernel.access.add(key)
    await kernel.queue.submit([a_job()], a_request(), key.id)
    assert (await kernel.queue.submit([a_job()], a_request(), key.id)).replayed
    await kernel.access.revoke(key.id, NOON)
    with pytest.raises(Unauthenticated):
        await kernel.queue.submit([a_job()], a_request(), key.id)


async def test_of_jobs_that_are_submitted_at_once_only_those_of_a_revoked_key_are_refused(
    kernel: Kernel,
) -> None:
    revoked, *others = keys = [a_key(f"etl_{n}") for n in range(3)]
    for key in keys:
        await kernel.access.add(key)
    await kernel.access.revoke(revoked.id, NOON)
    new = [(a_job(), key) for key in keys * 5]
    answers = await asyncio.gather(
        *(kernel.queue.submit([job], None, key.id) for job, key in new), return_exceptions=True
    )
    for (job, key), answer in zip(new, answers, strict=True):
        assert isinstance(answer, Unauthenticated) if key is revoked else answer == Submitted(jobs=(job,))
    assert {job.id for job in await stored(kernel)} == {job.id for job, key in new if key in others}


async def test_a_submit_after_a_revocation_is_refused_whatever_else_is_being_submitted(
    kernel: Kernel,
) -> None:
    other = a_key("etl_other")
    await kernel.access.add(other)
    for n in range(RIVALS):
        key = a_key(f"etl_{n}")
        await kernel.access.add(key)
        rivals = asyncio.gather(*(kernel.queue.submit([a_job()], None, other.id) for _ in range(5)))
        await asyncio.sleep(0)
        await kernel.access.revoke(key.id, NOON)
        with pytest.raises(Unauthenticated):
            await kernel.queue.submit([a_job()], None, key.id)
        await rivals
    assert len(await stored(kernel)) == 5 * RIVALS


async def test_submitting_nothing_is_answered_with_nothing(kernel: Kernel) -> None:
    assert (await kernel.queue.submit([])).jobs == ()


async def test_the_same_jobs_submitted_again_after_a_lost_answer_exist_once_and_as_they_stand(
    kernel: Kernel,
) -> None:
    worker = await join(kernel)
    first, second = batch = jobs(2)
    await kernel.queue.submit(batch)
    claimed = await claim_one(kernel, worker)
    again = await kernel.queue.submit(batch)
    assert again.jobs == (claimed, second)
    assert len(await stored(kernel)) == 2
    assert len(await kernel.history.events(first.id)) == 2


async def test_the_same_idempotency_key_and_digest_return_the_first_jobs_as_they_stand(
    kernel: Kernel,
) -> None:
    first = await kernel.queue.submit(jobs(2), a_request())
    await kernel.queue.change(first.jobs[0].id, cancel, "bob")
    again = await kernel.queue.submit(jobs(2), a_request())
    assert again.replayed
    assert [job.id for job in again.jobs] == [job.id for job in first.jobs]
    assert [job.state for job in again.jobs] == [JobState.CANCELLED, JobState.QUEUED]
    assert len(await stored(kernel)) == 2


async def test_the_same_idempotency_key_with_another_digest_is_refused(kernel: Kernel) -> None:
    await kernel.queue.submit([a_job()], a_request(digest=b"one"))
    with pytest.raises(IdempotencyKeyReused):
        await kernel.queue.submit([a_job()], a_request(digest=b"two"))


async def test_two_owners_may_use_the_same_idempotency_key(kernel: Kernel) -> None:
    await kernel.queue.submit([a_job()], a_request(owner="alice"))
    other = await kernel.queue.submit([a_job()], a_request(owner="bob", digest=b"other"))
    assert not other.replayed
    assert len(await stored(kernel)) == 2


async def test_of_20_rivals_with_one_idempotency_key_exactly_one_makes_the_jobs(kernel: Kernel) -> None:
    answers = await asyncio.gather(*(kernel.queue.submit(jobs(2), a_request()) for _ in range(RIVALS)))
    assert sum(not answer.replayed for answer in answers) == 1
    assert len({tuple(job.id for job in answer.jobs) for answer in answers}) == 1
    assert len(await stored(kernel)) == 2


async def test_of_20_rivals_with_one_key_and_other_digests_all_but_one_are_refused(kernel: Kernel) -> None:
    submits = (kernel.queue.submit([a_job()], a_request(digest=bytes([n]))) for n in range(RIVALS))
    answers = await asyncio.gather(*submits, return_exceptions=True)
    assert sum(isinstance(answer, IdempotencyKeyReused) for answer in answers) == RIVALS - 1
    assert len(await stored(kernel)) == 1


# -- cancel, and change ------------------------------------------------------------------------------


async def test_a_queued_job_is_cancelled_at_once_and_never_claimed(kernel: Kernel) -> None:
    worker = await join(kernel)
    (job,) = await submit(kernel, a_job())
    cancelled = await kernel.queue.change(job.id, cancel, "bob")
    assert cancelled.state is JobState.CANCELLED
    assert cancelled.finished_at is not None
    assert await kernel.history.get(job.id) == cancelled
    assert await kernel.queue.claim(worker.id, 10) == []


async def test_a_running_job_is_only_asked_to_stop_and_never_tried_again(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job(retry=repeatable()))
    job = await start_one(kernel, worker)
    asked = await kernel.queue.change(job.id, cancel, "bob")
    assert asked.state is JobState.RUNNING
    assert asked.cancel_requested_at is not None
    assert await kernel.queue.change(job.id, cancel, "carol") == asked
    (ended,) = await kernel.queue.report([report_of(job, failed())])
    assert ended.state is JobState.CANCELLED
    assert await kernel.queue.claim(worker.id, 10) == []


async def test_a_job_that_succeeded_before_its_cancel_reached_it_has_succeeded(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    job = await start_one(kernel, worker)
    await kernel.queue.change(job.id, cancel, "bob")
    (ended,) = await kernel.queue.report([report_of(job, succeeded())])
    assert ended.state is JobState.SUCCEEDED


async def test_a_cancelled_job_can_be_cancelled_again_and_an_ended_one_cannot(kernel: Kernel) -> None:
    worker = await join(kernel)
    (gone,) = await submit(kernel, a_job())
    cancelled = await kernel.queue.change(gone.id, cancel, "bob")
    assert await kernel.queue.change(gone.id, cancel, "bob") == cancelled
    assert len(await kernel.history.events(gone.id)) == 2
    await submit(kernel, a_job())
    job = await start_one(kernel, worker)
    await kernel.queue.report([report_of(job)])
    with pytest.raises(JobIsFinal):
        await kernel.queue.change(job.id, cancel, "bob")


async def test_what_a_decision_raises_passes_through_and_nothing_is_changed(kernel: Kernel) -> None:
    (job,) = await submit(kernel, a_job())

    def refuse(_: Job) -> Job:
        raise IllegalTransition("No.")

    with pytest.raises(IllegalTransition, match=r"No\."):
        await kernel.queue.change(job.id, refuse, "bob")
    assert await kernel.history.get(job.id) == job
    assert len(await kernel.history.events(job.id)) == 1
    assert (await kernel.queue.change(job.id, cancel, "bob")).state is JobState.CANCELLED


async def test_a_final_job_never_changes_whatever_is_decided(kernel: Kernel) -> None:
    (job,) = await submit(kernel, a_job())
    cancelled = await kernel.queue.change(job.id, cancel, "bob")
    with pytest.raises(IllegalTransition):
        await kernel.queue.change(job.id, lambda j: replace(j, state=JobState.QUEUED), "bob")
    with pytest.raises(IllegalTransition):
        await kernel.queue.change(job.id, lambda j: replace(j, state=JobState.SUCCEEDED), "bob")
    assert await kernel.history.get(job.id) == cancelled


async def test_a_change_of_an_unknown_job_is_refused(kernel: Kernel) -> None:
    with pytest.raises(JobNotFound):
        await kernel.queue.change(uuid4(), cancel, "bob")


async def test_of_20_rival_cancels_one_is_written_and_all_see_it(kernel: Kernel) -> None:
    (job,) = await submit(kernel, a_job())
    answers = await asyncio.gather(*(kernel.queue.change(job.id, cancel, "bob") for _ in range(RIVALS)))
    assert set(map(repr, answers)) == {repr(await kernel.history.get(job.id))}
    kinds = [event.kind for event in await kernel.history.events(job.id)]
    assert kinds == [EventKind.SUBMITTED, EventKind.CANCELLED]


async def test_of_a_claim_and_a_cancel_at_the_same_moment_both_are_obeyed(kernel: Kernel) -> None:
    worker = await join(kernel)
    for _ in range(RIVALS):
        (job,) = await submit(kernel, a_job())
        claimed, answered = await asyncio.gather(
            kernel.queue.claim(worker.id, 1), kernel.queue.change(job.id, cancel, "bob")
        )
        if claimed:
            assert (answered.state, answered.fence) == (JobState.RUNNING, 1)
            assert await kernel.queue.start([claim_of(job) for job in claimed]) == []
            await kernel.queue.put_back([claim_of(job) for job in claimed])
        assert (await kernel.history.get(job.id)).state is JobState.CANCELLED
