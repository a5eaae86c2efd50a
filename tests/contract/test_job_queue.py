"""The contract of JobQueue: what every store of jobs promises to callers, workers and maintenance."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from application.ports.job_history import JobFilter
from domain.attempt import Outcome
from domain.errors import IdempotencyKeyReused, IllegalTransition, JobIsFinal, JobNotFound, QueueNotFound
from domain.event import EventKind
from domain.job import Job, JobState
from tests.builders import (
    TERMS,
    a_job,
    a_request,
    claim_of,
    failed,
    jobs,
    keyed,
    lost,
    repeatable,
    report_of,
    stopped_by_cancel,
    succeeded,
    timed_out,
)
from tests.contract.kernels import Kernel, claim_one, join, start_one, submit

RIVALS = 20


def cancel(job: Job) -> Job:
    return job.cancel(datetime.now(UTC))


async def stored(kernel: Kernel) -> list[Job]:
    return list(await kernel.history.list(JobFilter(), None, 1000))


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


# -- claim -------------------------------------------------------------------------------------------


async def test_a_claim_gives_the_job_to_the_session_under_a_new_fence(kernel: Kernel) -> None:
    worker = await join(kernel)
    (job,) = await submit(kernel, a_job())
    claimed = await claim_one(kernel, worker)
    assert claimed == job.claimed(worker.id, worker.name)
    assert (claimed.attempt, claimed.fence, claimed.attempt_started) == (1, 1, False)
    assert await kernel.history.get(job.id) == claimed


async def test_higher_priority_goes_first_then_the_older_job(kernel: Kernel) -> None:
    worker = await join(kernel)
    low, old, young, high = a_job(priority=-1), a_job(), a_job(), a_job(priority=5)
    await submit(kernel, young, high, low, old)
    claimed = await kernel.queue.claim(worker.id, 10)
    assert [job.id for job in claimed] == [high.id, old.id, young.id, low.id]


async def test_claims_one_by_one_follow_the_same_order_over_several_queues(kernel: Kernel) -> None:
    worker = await join(kernel, "a", "b")
    first, second, third = a_job(queue="b", priority=9), a_job(queue="a"), a_job(queue="b")
    await submit(kernel, third, second, first)
    claimed = [await claim_one(kernel, worker) for _ in range(3)]
    assert [job.id for job in claimed] == [first.id, second.id, third.id]


async def test_a_claim_gives_no_more_than_its_limit(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, *jobs(5))
    assert len(await kernel.queue.claim(worker.id, 2)) == 2
    assert len(await kernel.queue.claim(worker.id, 10)) == 3
    assert await kernel.queue.claim(worker.id, 10) == []


async def test_a_session_claims_only_from_its_own_queues(kernel: Kernel) -> None:
    worker = await join(kernel, "etl", "reports")
    mine, report, _ = await submit(kernel, a_job(queue="etl"), a_job(queue="reports"), a_job(queue="other"))
    claimed = await kernel.queue.claim(worker.id, 10)
    assert {job.id for job in claimed} == {mine.id, report.id}


async def test_a_session_that_names_no_queue_claims_from_all(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job(queue="a"), a_job(queue="b"))
    assert len(await kernel.queue.claim(worker.id, 10)) == 2


async def test_a_job_is_not_claimed_before_its_time(kernel: Kernel) -> None:
    worker = await join(kernel)
    (job,) = await submit(kernel, a_job(not_before=datetime.now(UTC) + timedelta(hours=1)))
    assert await kernel.queue.claim(worker.id, 10) == []
    await kernel.make_due(job.id)
    assert (await claim_one(kernel, worker)).id == job.id


async def test_a_job_past_its_expiry_is_not_claimed(kernel: Kernel) -> None:
    worker = await join(kernel)
    (job,) = await submit(kernel, a_job(expires_at=datetime.now(UTC) + timedelta(hours=1)))
    await kernel.make_late(job.id)
    assert await kernel.queue.claim(worker.id, 10) == []


async def test_a_draining_session_claims_nothing(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    await kernel.registry.drain(worker.id)
    assert await kernel.queue.claim(worker.id, 10) == []


async def test_a_session_whose_lease_expired_claims_nothing(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    await kernel.expire_lease(worker.id)
    assert await kernel.queue.claim(worker.id, 10) == []


async def test_a_session_that_left_or_never_joined_claims_nothing(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    await kernel.registry.leave(worker.id)
    assert await kernel.queue.claim(worker.id, 10) == []
    assert await kernel.queue.claim(uuid4(), 10) == []


async def test_of_20_rivals_exactly_one_claims_the_job(kernel: Kernel) -> None:
    workers = [await join(kernel) for _ in range(RIVALS)]
    (job,) = await submit(kernel, a_job())
    claims = await asyncio.gather(*(kernel.queue.claim(worker.id, 5) for worker in workers))
    assert [claimed.id for claim in claims for claimed in claim] == [job.id]


async def test_rivals_share_a_backlog_without_giving_a_job_twice(kernel: Kernel) -> None:
    workers = [await join(kernel) for _ in range(8)]
    batch = await submit(kernel, *jobs(60))

    async def claim_all(session: int) -> list[Job]:
        mine: list[Job] = []
        while claimed := await kernel.queue.claim(workers[session].id, 3):
            mine += claimed
        return mine

    shares = await asyncio.gather(*(claim_all(session) for session in range(8)))
    given = [job.id for share in shares for job in share]
    # A rival may be told "none" while others hold the locks of the last rows; what is left is still there.
    given += [job.id for job in await kernel.queue.claim(workers[0].id, 60)]
    assert Counter(given) == Counter(job.id for job in batch)


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


# -- start -------------------------------------------------------------------------------------------


async def test_start_is_recorded_before_the_program_runs(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    job = await start_one(kernel, worker)
    assert job.attempt_started
    assert job.started_at is not None
    (attempt,) = await kernel.history.attempts(job.id)
    assert attempt.started_at is not None


async def test_start_asked_again_after_a_lost_answer_is_granted_again(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    job = await start_one(kernel, worker)
    assert await kernel.queue.start([claim_of(job)]) == [claim_of(job)]
    assert await kernel.history.get(job.id) == job
    kinds = [event.kind for event in await kernel.history.events(job.id)]
    assert kinds.count(EventKind.STARTED) == 1


async def test_start_is_refused_once_a_cancel_was_asked_for(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, *jobs(2))
    one, other = await kernel.queue.claim(worker.id, 2)
    await kernel.queue.change(one.id, cancel, "bob")
    assert await kernel.queue.start([claim_of(one), claim_of(other)]) == [claim_of(other)]
    assert not (await kernel.history.get(one.id)).attempt_started


async def test_start_is_refused_under_an_old_fence(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    old = await claim_one(kernel, worker)
    await kernel.queue.put_back([claim_of(old)])
    new = await claim_one(kernel, worker)
    assert new.fence > old.fence
    assert await kernel.queue.start([claim_of(old)]) == []
    assert not (await kernel.history.get(old.id)).attempt_started


# -- report ------------------------------------------------------------------------------------------


async def test_a_success_is_final_and_says_so(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    job = await start_one(kernel, worker)
    ending = succeeded()
    (ended,) = await kernel.queue.report([report_of(job, ending)])
    assert ended == await kernel.history.get(job.id)
    assert ended.state is JobState.SUCCEEDED
    assert (ended.outcome, ended.reason, ended.usage) == (ending.outcome, ending.reason, ending.exit.usage)
    assert ended.finished_at is not None
    assert ended.session_id is None
    assert ended.worker == worker.name


async def test_a_failure_of_the_last_attempt_is_final_and_shows_the_last_lines(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    job = await start_one(kernel, worker)
    ending = failed(3)
    ending = replace(ending, reason=ending.reason.showing(("Traceback", "KeyError: 'größe'")))
    (ended,) = await kernel.queue.report([report_of(job, ending)])
    assert ended.state is JobState.FAILED
    assert ended.reason == ending.reason
    (attempt,) = await kernel.history.attempts(job.id)
    assert attempt.ending == ending
    assert attempt.finished_at is not None


async def test_many_reports_end_in_one_call(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, *jobs(40))
    held = await kernel.queue.claim(worker.id, 40)
    ended = await kernel.queue.report([report_of(job) for job in held])
    assert {job.id for job in ended} == {job.id for job in held}
    assert {job.state for job in ended} == {JobState.SUCCEEDED}


async def test_an_attempt_that_may_be_repeated_waits_and_is_then_claimed_again(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job(retry=repeatable(delay_seconds=3600)))
    job = await start_one(kernel, worker)
    (waiting,) = await kernel.queue.report([report_of(job, failed())])
    assert waiting.state is JobState.QUEUED
    assert waiting.not_before is not None
    assert waiting.not_before > datetime.now(UTC) + timedelta(minutes=30)
    assert (waiting.session_id, waiting.worker, waiting.attempt) == (None, None, 1)
    assert await kernel.queue.claim(worker.id, 10) == []
    await kernel.make_due(job.id)
    again = await claim_one(kernel, worker)
    assert (again.attempt, again.fence, again.attempt_started) == (2, 2, False)
    assert again.started_at == job.started_at


async def test_a_job_fails_when_its_attempts_are_used_up(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job(retry=repeatable(2)))
    first = await start_one(kernel, worker)
    await kernel.queue.report([report_of(first, timed_out())])
    second = await start_one(kernel, worker)
    (ended,) = await kernel.queue.report([report_of(second, lost())])
    assert ended.state is JobState.FAILED
    assert ended.attempt == 2
    attempts = await kernel.history.attempts(ended.id)
    assert [a.ending and a.ending.outcome for a in attempts] == [Outcome.TIMED_OUT, Outcome.LOST]


async def test_the_same_report_again_is_accepted_and_changes_nothing(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job(), a_job(retry=repeatable(delay_seconds=3600)))
    held = [await start_one(kernel, worker), await start_one(kernel, worker)]
    reports = [report_of(job, failed()) for job in held]
    first = await kernel.queue.report(reports)
    events = [await kernel.history.events(job.id) for job in held]
    again = await kernel.queue.report(reports)
    assert {job.id: job for job in again} == {job.id: job for job in first}
    assert [await kernel.history.events(job.id) for job in held] == events
    assert {job.state for job in again} == {JobState.FAILED, JobState.QUEUED}


async def test_another_report_of_an_attempt_that_has_ended_is_left_out(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    job = await start_one(kernel, worker)
    (ended,) = await kernel.queue.report([report_of(job, failed())])
    assert await kernel.queue.report([report_of(job, succeeded())]) == []
    assert await kernel.history.get(job.id) == ended


async def test_a_report_under_an_old_fence_is_left_out_and_changes_nothing(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job(retry=repeatable()))
    old = await start_one(kernel, worker)
    await kernel.queue.report([report_of(old, failed())])
    new = await start_one(kernel, worker)
    assert await kernel.queue.report([report_of(old, succeeded())]) == []
    assert await kernel.history.get(new.id) == new


async def test_the_report_of_an_earlier_attempt_again_is_left_out_even_if_a_later_one_ended_so(
    kernel: Kernel,
) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job(retry=repeatable(2)))
    first = await start_one(kernel, worker)
    await kernel.queue.report([report_of(first, failed())])
    second = await start_one(kernel, worker)
    (ended,) = await kernel.queue.report([report_of(second, failed())])
    assert await kernel.queue.report([report_of(first, failed())]) == []
    assert await kernel.queue.report([report_of(second, failed())]) == [ended]


async def test_a_report_of_a_job_that_does_not_exist_is_left_out(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    job = await start_one(kernel, worker)
    stranger = a_job().claimed(worker.id, worker.name)
    (ended,) = await kernel.queue.report([report_of(stranger), report_of(job)])
    assert ended.id == job.id


async def test_of_20_rival_reports_of_one_attempt_exactly_one_ends_it(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    job = await start_one(kernel, worker)
    answers = await asyncio.gather(
        *(kernel.queue.report([report_of(job, failed(code))]) for code in range(1, RIVALS + 1))
    )
    (ended,) = [answered for answer in answers for answered in answer]
    assert await kernel.history.get(job.id) == ended
    assert [event.kind for event in await kernel.history.events(job.id)].count(EventKind.FAILED) == 1


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


# -- put back ----------------------------------------------------------------------------------------


async def test_a_claim_that_is_put_back_uses_no_attempt(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    job = await claim_one(kernel, worker)
    assert await kernel.queue.put_back([claim_of(job)]) == [claim_of(job)]
    after = await kernel.history.get(job.id)
    assert (after.state, after.attempt, after.fence, after.session_id) == (JobState.QUEUED, 0, 1, None)
    again = await claim_one(kernel, worker)
    assert (again.attempt, again.fence) == (1, 2)


async def test_a_started_attempt_cannot_be_put_back(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, *jobs(2))
    started = await start_one(kernel, worker)
    claimed = await claim_one(kernel, worker)
    given_back = await kernel.queue.put_back([claim_of(started), claim_of(claimed)])
    assert given_back == [claim_of(claimed)]
    assert await kernel.history.get(started.id) == started


async def test_a_claim_of_an_old_fence_cannot_be_put_back(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    old = await claim_one(kernel, worker)
    await kernel.queue.put_back([claim_of(old)])
    new = await claim_one(kernel, worker)
    assert await kernel.queue.put_back([claim_of(old)]) == []
    assert await kernel.history.get(new.id) == new


async def test_a_claim_that_is_put_back_after_a_cancel_ends_cancelled(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    job = await claim_one(kernel, worker)
    await kernel.queue.change(job.id, cancel, "bob")
    assert await kernel.queue.put_back([claim_of(job)]) == [claim_of(job)]
    after = await kernel.history.get(job.id)
    assert (after.state, after.attempt) == (JobState.CANCELLED, 0)


# -- adopt -------------------------------------------------------------------------------------------


async def test_an_adopted_attempt_keeps_its_fence_and_is_reported_by_the_new_session(kernel: Kernel) -> None:
    old, new = await join(kernel), await join(kernel, pid=4712)
    await submit(kernel, a_job())
    job = await start_one(kernel, old)
    (adopted,) = await kernel.queue.adopt(new.id, [claim_of(job)])
    assert adopted == job.adopted(new.id, new.name)
    (attempt,) = await kernel.history.attempts(job.id)
    assert (attempt.fence, attempt.session_id) == (job.fence, new.id)
    await kernel.expire_last_lease(old.id)
    assert await kernel.queue.rescue(10) == []
    (ended,) = await kernel.queue.report([report_of(job)])
    assert ended.state is JobState.SUCCEEDED


async def test_a_last_attempt_is_adopted_after_its_session_died(kernel: Kernel) -> None:
    old = await join(kernel)
    await submit(kernel, a_job())
    job = await start_one(kernel, old)
    await kernel.expire_lease(old.id)
    assert await kernel.queue.rescue(10) == []
    assert await kernel.registry.renew(old.id, TERMS) is None
    new = await join(kernel)
    (adopted,) = await kernel.queue.adopt(new.id, [claim_of(job)])
    assert adopted.session_id == new.id
    await kernel.expire_last_lease(old.id)
    assert await kernel.queue.rescue(10) == []
    assert (await kernel.history.get(job.id)).state is JobState.RUNNING


async def test_adopting_again_after_a_lost_answer_changes_nothing(kernel: Kernel) -> None:
    old, new = await join(kernel), await join(kernel)
    await submit(kernel, a_job())
    job = await start_one(kernel, old)
    first = await kernel.queue.adopt(new.id, [claim_of(job)])
    assert await kernel.queue.adopt(new.id, [claim_of(job)]) == first
    kinds = [event.kind for event in await kernel.history.events(job.id)]
    assert kinds.count(EventKind.ADOPTED) == 1


async def test_an_attempt_that_ended_or_lost_its_fence_is_not_adopted(kernel: Kernel) -> None:
    old, new = await join(kernel), await join(kernel)
    await submit(kernel, a_job(), a_job(retry=repeatable()))
    ended = await start_one(kernel, old)
    await kernel.queue.report([report_of(ended)])
    rescued = await start_one(kernel, old)
    await kernel.expire_lease(old.id)
    await kernel.queue.rescue(10)
    assert await kernel.queue.adopt(new.id, [claim_of(ended), claim_of(rescued)]) == []
    claimed = await claim_one(kernel, new)
    assert await kernel.queue.adopt(new.id, [claim_of(rescued)]) == []
    assert await kernel.history.get(rescued.id) == claimed


# -- rescue ------------------------------------------------------------------------------------------


async def test_a_repeatable_attempt_of_a_dead_session_is_lost_and_queued_again(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job(retry=repeatable()))
    job = await start_one(kernel, worker)
    assert await kernel.queue.rescue(10) == []
    await kernel.expire_lease(worker.id)
    (rescued,) = await kernel.queue.rescue(10)
    assert rescued == await kernel.history.get(job.id)
    assert (rescued.state, rescued.attempt, rescued.outcome) == (JobState.QUEUED, 1, Outcome.LOST)
    assert rescued.reason is not None
    assert worker.name in rescued.reason.message
    (attempt,) = await kernel.history.attempts(job.id)
    assert attempt.ending is not None
    assert attempt.ending.outcome is Outcome.LOST
    assert await kernel.queue.rescue(10) == []


async def test_a_claim_that_never_started_is_put_back_without_counting(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    job = await claim_one(kernel, worker)
    await kernel.expire_lease(worker.id)
    (rescued,) = await kernel.queue.rescue(10)
    assert (rescued.id, rescued.state, rescued.attempt) == (job.id, JobState.QUEUED, 0)
    assert await kernel.queue.start([claim_of(job)]) == []


async def test_a_last_attempt_outlives_its_session_until_the_last_lease(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    job = await start_one(kernel, worker)
    await kernel.expire_lease(worker.id)
    assert await kernel.queue.rescue(10) == []
    assert await kernel.history.get(job.id) == job
    await kernel.expire_last_lease(worker.id)
    (rescued,) = await kernel.queue.rescue(10)
    assert (rescued.state, rescued.outcome) == (JobState.FAILED, Outcome.LOST)


async def test_a_last_attempt_is_reported_after_its_session_died(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    job = await start_one(kernel, worker)
    await kernel.expire_lease(worker.id)
    await kernel.queue.rescue(10)
    (ended,) = await kernel.queue.report([report_of(job)])
    assert ended.state is JobState.SUCCEEDED


async def test_an_expired_lease_can_be_claimed_again_and_the_old_fence_is_refused(kernel: Kernel) -> None:
    dead, rival = await join(kernel), await join(kernel)
    await submit(kernel, a_job(retry=repeatable()))
    old = await start_one(kernel, dead)
    await kernel.expire_lease(dead.id)
    await kernel.queue.rescue(10)
    new = await start_one(kernel, rival)
    assert (new.id, new.fence) == (old.id, old.fence + 1)
    assert await kernel.queue.report([report_of(old, succeeded())]) == []
    assert await kernel.queue.start([claim_of(old)]) == []
    assert await kernel.queue.put_back([claim_of(old)]) == []
    assert await kernel.history.get(new.id) == new
    (ended,) = await kernel.queue.report([report_of(new)])
    assert ended.state is JobState.SUCCEEDED


async def test_a_late_report_of_a_rescued_attempt_is_left_out(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job())
    job = await start_one(kernel, worker)
    await kernel.expire_last_lease(worker.id)
    (rescued,) = await kernel.queue.rescue(10)
    assert await kernel.queue.report([report_of(job, succeeded())]) == []
    assert await kernel.history.get(job.id) == rescued


async def test_a_rescued_job_whose_cancel_was_asked_for_is_cancelled(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, *jobs(2, retry=repeatable()))
    started, claimed = await start_one(kernel, worker), await claim_one(kernel, worker)
    for job in (started, claimed):
        await kernel.queue.change(job.id, cancel, "bob")
    await kernel.expire_lease(worker.id)
    rescued = await kernel.queue.rescue(10)
    assert [job.state for job in rescued] == [JobState.CANCELLED, JobState.CANCELLED]


async def test_a_rescue_takes_no_more_than_its_limit_and_the_next_takes_the_rest(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, *jobs(5))
    await kernel.queue.claim(worker.id, 5)
    await kernel.expire_lease(worker.id)
    rounds = [await kernel.queue.rescue(2) for _ in range(4)]
    assert [len(rescued) for rescued in rounds] == [2, 2, 1, 0]
    assert len({job.id for rescued in rounds for job in rescued}) == 5


async def test_a_rescue_leaves_living_sessions_alone(kernel: Kernel) -> None:
    dead, living = await join(kernel), await join(kernel)
    await submit(kernel, *jobs(2))
    lost_job, kept = await claim_one(kernel, dead), await claim_one(kernel, living)
    await kernel.expire_lease(dead.id)
    assert [job.id for job in await kernel.queue.rescue(10)] == [lost_job.id]
    assert await kernel.history.get(kept.id) == kept


async def test_of_20_rival_rescues_each_job_is_rescued_once(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, *jobs(30, retry=repeatable()))
    held = await kernel.queue.claim(worker.id, 30)
    await kernel.queue.start([claim_of(job) for job in held])
    await kernel.expire_lease(worker.id)
    answers = await asyncio.gather(*(kernel.queue.rescue(5) for _ in range(RIVALS)))
    rescued = [job.id for answer in answers for job in answer]
    rescued += [job.id for job in await kernel.queue.rescue(30)]
    assert Counter(rescued) == Counter(job.id for job in held)


async def test_of_a_rescue_and_a_report_at_the_same_moment_one_wins_for_good(kernel: Kernel) -> None:
    for _ in range(RIVALS):
        worker = await join(kernel)
        await submit(kernel, a_job())
        job = await start_one(kernel, worker)
        await kernel.expire_last_lease(worker.id)
        rescued, reported = await asyncio.gather(
            kernel.queue.rescue(10), kernel.queue.report([report_of(job, succeeded())])
        )
        (winner,) = [*rescued, *reported]
        assert winner.state is (JobState.SUCCEEDED if reported else JobState.FAILED)
        assert await kernel.queue.report([report_of(job, timed_out())]) == []
        await kernel.queue.rescue(10)
        assert await kernel.history.get(job.id) == winner


async def test_of_a_renewal_and_a_rescue_at_the_same_moment_never_both_win(kernel: Kernel) -> None:
    for _ in range(RIVALS):
        worker = await join(kernel)
        await submit(kernel, a_job())
        job = await claim_one(kernel, worker)
        await kernel.expire_lease(worker.id)
        renewal, rescued = await asyncio.gather(
            kernel.registry.renew(worker.id, TERMS), kernel.queue.rescue(10)
        )
        still_held = renewal is not None and bool(renewal.holdings)
        assert still_held != bool(rescued)
        assert (await kernel.history.get(job.id)).state is (
            JobState.RUNNING if still_held else JobState.QUEUED
        )
        await kernel.queue.change(job.id, cancel, "bob")
        await kernel.expire_lease(worker.id)
        await kernel.queue.rescue(10)


# -- expire ------------------------------------------------------------------------------------------


async def test_a_job_still_queued_at_its_expiry_is_cancelled(kernel: Kernel) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    late, _, _ = await submit(kernel, a_job(expires_at=soon), a_job(expires_at=soon), a_job())
    assert await kernel.queue.expire(10) == []
    await kernel.make_late(late.id)
    (expired,) = await kernel.queue.expire(10)
    assert (expired.id, expired.state) == (late.id, JobState.CANCELLED)
    assert expired.reason is not None
    assert expired.reason.code == "expired"
    assert (await kernel.history.get(late.id)).state is JobState.CANCELLED
    assert await kernel.queue.expire(10) == []


async def test_a_running_job_does_not_expire(kernel: Kernel) -> None:
    worker = await join(kernel)
    (job,) = await submit(kernel, a_job(expires_at=datetime.now(UTC) + timedelta(hours=1)))
    await claim_one(kernel, worker)
    await kernel.make_late(job.id)
    assert await kernel.queue.expire(10) == []
    assert (await kernel.history.get(job.id)).state is JobState.RUNNING


async def test_a_job_that_waits_for_a_full_key_expires_too(kernel: Kernel) -> None:
    worker = await join(kernel)
    await submit(kernel, a_job(concurrency=keyed("sales")))
    await claim_one(kernel, worker)
    soon = datetime.now(UTC) + timedelta(hours=1)
    (job,) = await submit(kernel, a_job(concurrency=keyed("sales"), expires_at=soon))
    assert await kernel.queue.claim(worker.id, 10) == []
    await kernel.make_late(job.id)
    assert [expired.id for expired in await kernel.queue.expire(10)] == [job.id]


async def test_an_expire_takes_no_more_than_its_limit(kernel: Kernel) -> None:
    batch = await submit(kernel, *jobs(3, expires_at=datetime.now(UTC) + timedelta(hours=1)))
    for job in batch:
        await kernel.make_late(job.id)
    assert len(await kernel.queue.expire(2)) == 2
    assert len(await kernel.queue.expire(2)) == 1


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
