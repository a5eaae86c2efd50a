"""What happened to a job, in order: one event for each change, written in the same transaction."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from domain.job import Job, JobState


class EventKind(StrEnum):
    """One word for each change that an operator may ask about."""

    SUBMITTED = "submitted"
    CLAIMED = "claimed"
    STARTED = "started"
    ADOPTED = "adopted"
    """A worker that was restarted went on with the attempt."""

    PUT_BACK = "put_back"
    """The claim was given back before its program started; no attempt was used."""

    CANCEL_REQUESTED = "cancel_requested"
    RETRY_PLANNED = "retry_planned"
    """The attempt ended badly and another one follows."""

    REPAIRED = "repaired"
    """`etl doctor --fix` mended what was stored of it."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """`actor` is who did it: a key's name, `worker HOST:PID`, or `maintenance`. `fence` is that of the
    latest claim then, and so tells the order where clocks do not.
    """

    job_id: UUID
    at: datetime
    kind: EventKind
    actor: str
    attempt: int
    fence: int
    detail: str | None = None


def events_between(before: Job | None, after: Job, at: datetime, actor: str) -> tuple[Event, ...]:
    """The events that one change amounts to; none where nothing changed."""
    kind = _kind(before, after)
    if kind is None:
        return ()
    ended = after.state.is_final or kind is EventKind.RETRY_PLANNED
    detail = after.reason.message if ended and after.reason else None
    told = Event(
        job_id=after.id,
        at=at,
        kind=kind,
        actor=actor,
        attempt=after.attempt,
        fence=after.fence,
        detail=detail,
    )
    return (told,)


def _kind(before: Job | None, after: Job) -> EventKind | None:
    if before is None:
        return EventKind.SUBMITTED
    if before == after:
        return None
    if after.state.is_final:
        return EventKind(after.state.value)
    if before.state is JobState.QUEUED:
        return EventKind.CLAIMED
    if after.state is JobState.QUEUED:
        return EventKind.RETRY_PLANNED if after.attempt == before.attempt else EventKind.PUT_BACK
    if after.cancel_requested_at != before.cancel_requested_at:
        return EventKind.CANCEL_REQUESTED
    if after.attempt_started != before.attempt_started:
        return EventKind.STARTED
    return EventKind.ADOPTED
