"""What callers see of a job's past: its attempts, and its events."""

from typing import Annotated

from msgspec import Meta, Struct

from domain.attempt import Attempt, Outcome
from domain.event import Event, EventKind
from entrypoints.http.job_views import ReasonView, UsageView, reason_view, usage_view
from entrypoints.http.view_types import Cursor, Id, When


class AttemptView(Struct, kw_only=True):
    """One try of a job."""

    job_id: Id
    number: Annotated[int, Meta(description="Counts from 1.", examples=[1])]
    fence: Annotated[int, Meta(description="Grows with each claim of the job.", examples=[1])]
    worker: Annotated[str, Meta(description="Host and process.", examples=["etl-1:42"])]
    claimed_at: Annotated[When, Meta(description="When a worker took it.")]
    started_at: Annotated[When, Meta(description="When the program was started.")]
    finished_at: Annotated[When, Meta(description="When it had ended.")]
    outcome: Annotated[Outcome | None, Meta(description="How it ended.", examples=["failed"])]
    reason: Annotated[ReasonView | None, Meta(description="Why it ended so.")]
    usage: Annotated[UsageView | None, Meta(description="What it took.")]
    log_bytes: Annotated[int | None, Meta(description="Written to the log.", examples=[1048576])]
    log_lost_bytes: Annotated[int | None, Meta(description="Not kept: cut, or no disk.", examples=[0])]
    processes_left: Annotated[int | None, Meta(description="Alive after its end.", examples=[0])]
    left_behind: Annotated[int | None, Meta(description="Outlived the main one.", examples=[0])]
    kept: Annotated[
        list[str], Meta(description="Those that were not stopped.", examples=[["4711 redis-server"]])
    ]
    oom_kills: Annotated[
        int | None,
        Meta(
            description="Killed by the kernel for memory meanwhile: its own processes where `limits` names a"
            " control group, else of the machine.",
            examples=[0],
        ),
    ]
    containment: Annotated[
        str | None,
        Meta(
            description="What held the tree: `cgroup_v2`, `cgroup_v1`, `subreaper` or `best_effort`.",
            examples=["subreaper"],
        ),
    ]
    limits: Annotated[
        dict[str, str] | None,
        Meta(
            description="How each limit that the job has was enforced: `cgroup_v2`, `cgroup_v1`, `polled`,"
            " `rlimit`, `polled+rlimit` or `none`.",
            examples=[{"memory_bytes": "polled"}],
        ),
    ]


class AttemptPage(Struct, kw_only=True):
    """Attempts, newest first."""

    items: Annotated[list[AttemptView], Meta(description="The attempts.")]
    next_cursor: Cursor


class EventView(Struct, kw_only=True):
    """One change of a job."""

    at: Annotated[When, Meta(description="When.")]
    kind: Annotated[EventKind, Meta(description="What happened.", examples=["started"])]
    actor: Annotated[str, Meta(description="Who did it.", examples=["worker etl-1:42"])]
    attempt: Annotated[int, Meta(description="Tries so far.", examples=[1])]
    detail: Annotated[str | None, Meta(description="A sentence.", examples=["Exited with status 3."])]


class EventPage(Struct, kw_only=True):
    """Events, newest first."""

    items: Annotated[list[EventView], Meta(description="The events.")]
    next_cursor: Cursor


def attempt_view(attempt: Attempt) -> AttemptView:
    ending = attempt.ending
    facts = ending.exit if ending else None
    return AttemptView(
        job_id=str(attempt.job_id),
        number=attempt.number,
        fence=attempt.fence,
        worker=attempt.worker,
        claimed_at=attempt.claimed_at,
        started_at=attempt.started_at,
        finished_at=attempt.finished_at,
        outcome=ending.outcome if ending else None,
        reason=reason_view(ending.reason if ending else None),
        usage=usage_view(facts.usage if facts else None),
        log_bytes=facts.log_bytes if facts else None,
        log_lost_bytes=facts.log_lost_bytes if facts else None,
        processes_left=facts.processes_left if facts else None,
        left_behind=facts.left_behind if facts else None,
        kept=list(facts.kept) if facts else [],
        oom_kills=facts.oom_kills if facts else None,
        containment=facts.containment if facts else None,
        limits=dict(facts.limits) if facts else None,
    )


def event_view(event: Event) -> EventView:
    return EventView(
        at=event.at, kind=event.kind, actor=event.actor, attempt=event.attempt, detail=event.detail
    )
