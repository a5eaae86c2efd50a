"""Why a queued job waits, in one sentence: the question that every operator asks first."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from domain.job import Job, JobState

SOON: Final = timedelta(seconds=15)
"""Workers look more often. Whether they have room on their disks is not known here."""

NAMED_HOLDERS: Final = 3
"""Of those who hold a limit; the others are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A limit that a job needs a place of: `holders` have all of its `limit` places."""

    name: str
    limit: int
    holders: tuple[UUID, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What stands around a queued job. `ahead` counts up to a bound: `ahead_is_more` beyond it."""

    paused_by: str | None = None
    held: Held | None = None
    workers_serving: int = 0
    free_slots: int = 0
    ahead: int = 0
    ahead_is_more: bool = False


def waiting_for(job: Job, around: Surroundings, at: datetime) -> str | None:
    """One sentence for a queued job, the most decisive cause first; None for any other state."""
    if job.state is not JobState.QUEUED:
        return None
    queue = job.spec.queue
    if job.not_before is not None and job.not_before > at:
        why = "its next attempt" if job.attempt else "its time"
        return f"Waits for {why}: not before {job.not_before:%Y-%m-%d %H:%M:%S} UTC."
    if around.paused_by is not None:
        return f"Queue {queue!r} was paused by {around.paused_by}."
    if around.held is not None:
        return _held(around.held)
    if around.workers_serving == 0:
        return f"No live worker serves queue {queue!r}."
    if around.ahead:
        more = "more than " if around.ahead_is_more else ""
        return f"Behind {more}{around.ahead} job{'s' * (around.ahead != 1)} of queue {queue!r}."
    if around.free_slots == 0:
        return f"No worker of queue {queue!r} has a free slot."
    if at - job.due_at > SOON:
        return "About to be claimed. If it stays, the workers' `/health/ready` says why, such as a full disk."
    return "About to be claimed."


def _held(held: Held) -> str:
    holders = ", ".join(map(str, held.holders[:NAMED_HOLDERS]))
    unnamed = len(held.holders) - NAMED_HOLDERS
    others = f" and {unnamed} others" if unnamed > 0 else ""
    return f"Limit {held.name!r} is full ({len(held.holders)}/{held.limit}), held by {holders}{others}."
