"""The contract of JobQueue: what workers tell of their attempts, and what is refused."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from domain.attempt import Outcome
from domain.event import EventKind
from domain.job import JobState
from tests.builders import (
    TERMS,
    a_job,
    claim_of,
    failed,
    jobs,
    lost,
    repeatable,
    report_of,
    succeeded,
    timed_out,
)
from tests.contract.kernels import RIVALS, Kernel, cancel, claim_one, join, start_one, submit

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
