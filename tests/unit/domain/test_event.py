"""Which event a change amounts to."""

from collections.abc import Callable

import pytest

from domain.event import EventKind, events_between
from domain.job import Job
from tests.builders import CHANCE, NOON, a_job, failed, repeatable, running, stopped_by_cancel, succeeded

CLAIMED = running(a_job(retry=repeatable()), started=False)
STARTED = CLAIMED.started(NOON)
LAST = running(a_job())


@pytest.mark.parametrize(
    ("before", "step", "kind"),
    [
        (a_job(), lambda job: job.claimed(CHANCE.new_id(), "host-1:1"), EventKind.CLAIMED),
        (CLAIMED, lambda job: job.started(NOON), EventKind.STARTED),
        (STARTED, lambda job: job.adopted(CHANCE.new_id(), "host-1:2"), EventKind.ADOPTED),
        (CLAIMED, lambda job: job.put_back(NOON), EventKind.PUT_BACK),
        (STARTED, lambda job: job.cancel(NOON), EventKind.CANCEL_REQUESTED),
        (STARTED, lambda job: job.ended(failed(), NOON, 0.5), EventKind.RETRY_PLANNED),
        (LAST, lambda job: job.ended(failed(), NOON, 0.5), EventKind.FAILED),
        (LAST, lambda job: job.ended(succeeded(), NOON, 0.5), EventKind.SUCCEEDED),
        (LAST, lambda job: job.ended(stopped_by_cancel(), NOON, 0.5), EventKind.CANCELLED),
        (CLAIMED.cancel(NOON), lambda job: job.put_back(NOON), EventKind.CANCELLED),
        (a_job(), lambda job: job.cancel(NOON), EventKind.CANCELLED),
        (a_job(), lambda job: job.expired(NOON), EventKind.CANCELLED),
    ],
)
def test_each_change_is_one_event(before: Job, step: Callable[[Job], Job], kind: EventKind) -> None:
    after = step(before)
    (event,) = events_between(before, after, NOON, "bob")
    assert (event.kind, event.actor, event.at, event.job_id) == (kind, "bob", NOON, before.id)
    assert event.attempt == after.attempt


def test_the_first_event_of_a_job_is_that_it_was_submitted() -> None:
    (event,) = events_between(None, a_job(), NOON, "alice")
    assert (event.kind, event.attempt, event.detail) == (EventKind.SUBMITTED, 0, None)


def test_no_change_is_no_event() -> None:
    assert events_between(STARTED, STARTED, NOON, "bob") == ()


def test_an_end_says_why_and_a_new_claim_does_not_repeat_it() -> None:
    waiting = STARTED.ended(failed(), NOON, 0.5)
    (planned,) = events_between(STARTED, waiting, NOON, "worker host-1:1")
    assert planned.detail == "Exited with status 3."
    (claimed,) = events_between(
        waiting, waiting.claimed(CHANCE.new_id(), "host-1:1"), NOON, "worker host-1:1"
    )
    assert claimed.detail is None
