"""The state machine of a job, step by step and by any order of steps."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.attempt import Ending, Outcome, Reason
from domain.command import Command
from domain.errors import IllegalTransition, JobIsFinal, JobIsNotFinal
from domain.job import FINAL, Job, JobState, new_job
from domain.policy import RetryPolicy
from tests.builders import (
    CHANCE,
    NOON,
    a_job,
    a_spec,
    failed,
    keyed,
    lost,
    repeatable,
    running,
    stopped_by_cancel,
    succeeded,
    timed_out,
)

LATER = NOON + timedelta(hours=1)
SESSION, OTHER = CHANCE.new_id(), CHANCE.new_id()
ENDINGS = [succeeded(), failed(), timed_out(), stopped_by_cancel(), lost()]


def ended(ending: Ending, **spec: Any) -> Job:
    return running(a_job(**spec)).ended(ending, LATER, 0.5)


# -- submitted ---------------------------------------------------------------------------------------


def test_a_new_job_is_queued_and_waits_until_its_not_before() -> None:
    job = new_job(SESSION, a_spec(not_before=LATER), NOON, "alice")
    assert (job.state, job.attempt, job.fence, job.not_before) == (JobState.QUEUED, 0, 0, LATER)
    assert not job.is_due(LATER - timedelta(microseconds=1))
    assert job.is_due(LATER)


def test_a_running_job_is_never_due() -> None:
    assert not running(a_job()).is_due(LATER)


# -- claimed, started, adopted -------------------------------------------------------------------------


def test_a_claim_makes_one_more_attempt_under_a_new_fence() -> None:
    job = replace(a_job(), attempt=1, fence=4)
    after = job.claimed(SESSION, "host-1:1")
    assert (after.state, after.attempt, after.fence) == (JobState.RUNNING, 2, 5)
    assert (after.session_id, after.worker, after.attempt_started) == (SESSION, "host-1:1", False)


def test_only_a_queued_job_can_be_claimed() -> None:
    for job in (running(a_job()), ended(succeeded()), a_job().cancel(NOON)):
        with pytest.raises(IllegalTransition):
            job.claimed(SESSION, "host-1:1")


def test_the_first_start_is_kept_over_all_attempts() -> None:
    first = running(a_job(retry=repeatable()), started=False).started(NOON)
    second = first.ended(failed(), NOON, 0.5).claimed(SESSION, "host-1:1").started(LATER)
    assert second.started_at == NOON
    assert second.attempt_started


def test_a_start_after_a_cancel_is_refused() -> None:
    with pytest.raises(IllegalTransition):
        running(a_job(), started=False).cancel(NOON).started(LATER)


def test_adoption_keeps_fence_number_and_start() -> None:
    before = running(a_job(), SESSION)
    after = before.adopted(OTHER, "host-1:2")
    assert after == replace(before, session_id=OTHER, worker="host-1:2")


def test_what_does_not_run_is_neither_started_adopted_ended_nor_put_back() -> None:
    steps: list[Callable[[Job], Job]] = [
        lambda job: job.started(NOON),
        lambda job: job.adopted(OTHER, "host-1:2"),
        lambda job: job.ended(succeeded(), NOON, 0.5),
        lambda job: job.put_back(NOON),
    ]
    for job in (a_job(), ended(succeeded()), ended(failed()), a_job().cancel(NOON)):
        for step in steps:
            with pytest.raises(IllegalTransition):
                step(job)


# -- ended -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "state"),
    [
        (succeeded(), JobState.SUCCEEDED),
        (failed(), JobState.FAILED),
        (timed_out(), JobState.FAILED),
        (lost(), JobState.FAILED),
        (stopped_by_cancel(), JobState.CANCELLED),
    ],
)
def test_the_end_of_the_only_attempt_is_the_end_of_the_job(ending: Ending, state: JobState) -> None:
    job = ended(ending)
    assert (job.state, job.outcome, job.reason) == (state, ending.outcome, ending.reason)
    assert (job.finished_at, job.session_id) == (LATER, None)
    assert job.worker == "host-1:4711"


@pytest.mark.parametrize("ending", [failed(), timed_out(), lost()])
def test_an_attempt_that_may_be_repeated_waits_for_the_delay_of_its_policy(ending: Ending) -> None:
    job = ended(ending, retry=repeatable(delay_seconds=30))
    assert (job.state, job.attempt, job.not_before) == (JobState.QUEUED, 1, LATER + timedelta(seconds=30))
    assert (job.session_id, job.worker, job.attempt_started, job.finished_at) == (None, None, False, None)
    assert job.reason == ending.reason


def test_a_job_whose_cancel_was_asked_for_is_not_tried_again() -> None:
    job = running(a_job(retry=repeatable())).cancel(NOON).ended(failed(), LATER, 0.5)
    assert (job.state, job.outcome) == (JobState.CANCELLED, Outcome.FAILED)


def test_a_success_counts_even_after_a_cancel_was_asked_for() -> None:
    assert running(a_job()).cancel(NOON).ended(succeeded(), LATER, 0.5).state is JobState.SUCCEEDED


def test_a_job_knows_its_last_attempt() -> None:
    first = running(a_job(retry=repeatable(2)))
    second = first.ended(failed(), NOON, 0.5).claimed(SESSION, "host-1:1")
    assert (first.is_last_attempt, second.is_last_attempt) == (False, True)


# -- put back --------------------------------------------------------------------------------------------


def test_a_claim_that_is_put_back_counts_no_attempt_and_keeps_the_fence() -> None:
    job = running(a_job(), started=False).put_back(NOON)
    assert (job.state, job.attempt, job.fence, job.session_id) == (JobState.QUEUED, 0, 1, None)
    assert job.is_due(NOON)


def test_a_started_attempt_is_not_put_back() -> None:
    with pytest.raises(IllegalTransition):
        running(a_job()).put_back(NOON)


def test_a_claim_that_is_put_back_after_a_cancel_ends_cancelled() -> None:
    job = running(a_job(), started=False).cancel(NOON).put_back(LATER)
    assert (job.state, job.outcome, job.finished_at) == (JobState.CANCELLED, Outcome.CANCELLED, LATER)


# -- cancel, expire, retry -------------------------------------------------------------------------------


def test_a_queued_job_is_cancelled_at_once_with_a_reason() -> None:
    job = a_job().cancel(NOON)
    assert (job.state, job.finished_at) == (JobState.CANCELLED, NOON)
    assert job.reason == Reason(code="cancelled", message="Cancelled while it was queued.")


def test_the_first_cancel_of_a_running_job_is_the_one_that_is_kept() -> None:
    once = running(a_job()).cancel(NOON)
    assert (once.state, once.cancel_requested_at) == (JobState.RUNNING, NOON)
    assert once.cancel(LATER) == once


def test_cancelling_a_cancelled_job_changes_nothing_and_any_other_final_job_refuses() -> None:
    cancelled = a_job().cancel(NOON)
    assert cancelled.cancel(LATER) is cancelled
    for job in (ended(succeeded()), ended(failed())):
        with pytest.raises(JobIsFinal, match=job.state.value):
            job.cancel(LATER)


def test_only_a_queued_job_expires() -> None:
    expired = a_job().expired(NOON)
    assert expired.state is JobState.CANCELLED
    assert expired.reason is not None
    assert expired.reason.code == "expired"
    with pytest.raises(IllegalTransition):
        running(a_job()).expired(NOON)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_retry_of_a_final_job_is_a_new_job_that_waits_for_nothing(ending: Ending) -> None:
    old = ended(ending, not_before=NOON, expires_at=LATER)
    new = old.retried(OTHER, LATER, "bob")
    assert (
        new == new_job(OTHER, replace(old.spec, not_before=None, expires_at=None), LATER, "bob")
        or new.retry_of
    )
    assert (new.id, new.retry_of, new.submitted_by, new.state) == (OTHER, old.id, "bob", JobState.QUEUED)
    assert (new.spec.not_before, new.spec.expires_at, new.not_before) == (None, None, None)
    assert (new.attempt, new.fence, new.outcome, new.reason) == (0, 0, None, None)


def test_a_job_that_may_still_end_well_is_not_retried() -> None:
    for job in (a_job(), running(a_job())):
        with pytest.raises(JobIsNotFinal):
            job.retried(OTHER, LATER, "bob")


# -- the spec --------------------------------------------------------------------------------------------


def test_a_good_spec_has_no_faults() -> None:
    spec = a_spec(priority=100, not_before=NOON, expires_at=LATER, concurrency=keyed("k"), labels={"a": "b"})
    assert list(spec.faults()) == []


def test_every_fault_of_a_spec_is_named_at_once() -> None:
    spec = a_spec(
        command=Command(),
        environment={"LD_PRELOAD": "x"},
        retry=RetryPolicy(max_attempts=0),
        priority=101,
        not_before=LATER,
        expires_at=NOON,
        timeout_seconds=0.0,
        stop_grace_seconds=-1.0,
        concurrency=keyed("k", 0),
        labels={str(n): "" for n in range(33)},
    )
    assert {place.pointer for place in spec.faults()} == {
        "/script",
        "/environment/LD_PRELOAD",
        "/retry/max_attempts",
        "/priority",
        "/expires_at",
        "/timeout_seconds",
        "/stop_grace_seconds",
        "/concurrency/limit",
        "/labels",
    }


def test_defaults_fill_only_what_was_left_open() -> None:
    spec = a_spec(timeout_seconds=None, stop_grace_seconds=0.0).with_defaults(3600.0, 10.0)
    assert (spec.timeout_seconds, spec.stop_grace_seconds) == (3600.0, 0.0)


# -- any order -------------------------------------------------------------------------------------------

STEPS: list[Callable[[Job], Job]] = [
    lambda job: job.claimed(SESSION, "host-1:1"),
    lambda job: job.started(NOON),
    lambda job: job.adopted(OTHER, "host-1:2"),
    lambda job: job.put_back(NOON),
    lambda job: job.cancel(NOON),
    lambda job: job.expired(NOON),
    *(lambda job, ending=ending: job.ended(ending, NOON, 0.5) for ending in ENDINGS),
]


@given(steps=st.lists(st.sampled_from(STEPS), max_size=40), attempts=st.integers(1, 4))
def test_no_order_of_steps_breaks_the_machine(steps: list[Callable[[Job], Job]], attempts: int) -> None:
    job = a_job(retry=repeatable(attempts))
    for step in steps:
        before = job
        try:
            job = step(job)
        except (IllegalTransition, JobIsFinal):
            continue
        assert before.state not in FINAL or job == before
        assert before.fence <= job.fence <= before.fence + 1
        assert 0 <= job.attempt <= attempts
        assert (job.session_id is not None) == (job.state is JobState.RUNNING)
        assert (job.finished_at is not None) == job.state.is_final
        assert job.state is not JobState.FAILED or job.reason is not None
        assert not job.attempt_started or job.started_at is not None
