"""One sentence on why a job waits, the most decisive cause first."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from domain.waiting import Held, Surroundings, waiting_for
from tests.builders import NOON, a_job, running, succeeded

HOLDERS = tuple(UUID(int=number) for number in range(5))
HELD = Held(name="sales", limit=1, holders=HOLDERS[:1])
FREE = Surroundings(workers_serving=1, free_slots=2)


def why(around: Surroundings = FREE, **changes: object) -> str | None:
    return waiting_for(replace(a_job(queue="etl"), **changes), around, NOON)  # type: ignore[arg-type]  # one of the fields


def test_only_a_queued_job_waits() -> None:
    job = running(a_job())
    assert waiting_for(job, FREE, NOON) is None
    assert waiting_for(job.ended(succeeded(), NOON, 0.5), FREE, NOON) is None
    assert waiting_for(a_job().cancel(NOON), FREE, NOON) is None


def test_nothing_in_the_way_means_about_to_be_claimed() -> None:
    assert why() == "About to be claimed."
    assert why(not_before=NOON) == "About to be claimed."


def test_what_is_not_claimed_although_nothing_is_in_the_way_is_told_where_to_look() -> None:
    """Below `retention.disk_floor` a worker lives, has free slots, and claims nothing."""
    due = NOON - timedelta(seconds=16)
    told = why(submitted_at=due)
    assert told is not None
    assert "`/health/ready` says why" in told
    assert why(submitted_at=due, not_before=NOON - timedelta(seconds=14)) == "About to be claimed."


def test_a_job_waits_for_its_time_or_for_its_next_attempt() -> None:
    later = NOON + timedelta(hours=1)
    assert why(not_before=later) == "Waits for its time: not before 2026-03-01 13:00:00 UTC."
    assert (
        why(not_before=later, attempt=1) == "Waits for its next attempt: not before 2026-03-01 13:00:00 UTC."
    )


def test_a_paused_queue_names_who_paused_it() -> None:
    assert why(Surroundings(paused_by="bob", held=HELD)) == "Queue 'etl' was paused by bob."


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (1, f"(1/5), held by {HOLDERS[0]}."),
        (3, f"(3/5), held by {HOLDERS[0]}, {HOLDERS[1]}, {HOLDERS[2]}."),
        (5, f"(5/5), held by {HOLDERS[0]}, {HOLDERS[1]}, {HOLDERS[2]} and 2 others."),
    ],
)
def test_a_full_limit_names_its_holders(count: int, told: str) -> None:
    held = Held(name="sales", limit=5, holders=HOLDERS[:count])
    assert why(Surroundings(held=held)) == f"Limit 'sales' is full {told}"


def test_a_queue_that_no_worker_serves_says_so() -> None:
    assert why(Surroundings(ahead=3)) == "No live worker serves queue 'etl'."


def test_a_job_tells_how_many_are_before_it() -> None:
    assert why(replace(FREE, ahead=1)) == "Behind 1 job of queue 'etl'."
    assert why(replace(FREE, ahead=2, free_slots=0)) == "Behind 2 jobs of queue 'etl'."
    assert why(replace(FREE, ahead=100, ahead_is_more=True)) == "Behind more than 100 jobs of queue 'etl'."


def test_busy_workers_are_the_last_cause() -> None:
    assert why(replace(FREE, free_slots=0)) == "No worker of queue 'etl' has a free slot."


def test_the_most_decisive_cause_comes_first() -> None:
    everything = Surroundings(paused_by="bob", held=HELD, ahead=4)
    later = NOON + timedelta(hours=1)
    causes = [
        why(everything, not_before=later),
        why(everything),
        why(replace(everything, paused_by=None)),
        why(replace(everything, paused_by=None, held=None)),
        why(Surroundings(workers_serving=1, ahead=4)),
        why(Surroundings(workers_serving=1)),
    ]
    beginnings = ["Waits for", "Queue", "Limit", "No live", "Behind 4", "No worker"]
    for cause, beginning in zip(causes, beginnings, strict=True):
        assert cause is not None
        assert cause.startswith(beginning)
