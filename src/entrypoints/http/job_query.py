"""What may be asked of the list of jobs, and of one job."""

from typing import Annotated

from msgspec import Meta, Struct

from application.ports.job_history import JobFilter
from domain.job import JobState
from entrypoints.http.paging import CursorParameter, Limit
from entrypoints.http.request_types import Instant, QueueName, in_utc


class JobQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which jobs to list."""

    state: Annotated[
        tuple[JobState, ...],
        Meta(
            max_length=5,
            description="Any of these states. May be repeated.",
            examples=[["queued", "running"]],
        ),
    ] = ()
    queue: Annotated[QueueName | None, Meta(description="Of this queue.", examples=["default"])] = None
    script: Annotated[
        Annotated[str, Meta(pattern=r"^[^\x00]{1,1024}\Z")] | None,
        Meta(description="Of this script.", examples=["load_orders.py"]),
    ] = None
    label: Annotated[
        tuple[
            Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}:[^\x00-\x1f\x7f]{0,256}\Z")], ...
        ],
        Meta(
            max_length=32,
            description="With this label, as `name:value`. May be repeated: all must match.",
            examples=[["team:finance"]],
        ),
    ] = ()
    submitted_after: Annotated[
        Instant | None, Meta(description="Submitted later than this.", examples=["2026-11-01T00:00:00Z"])
    ] = None
    submitted_before: Annotated[
        Instant | None, Meta(description="Submitted earlier than this.", examples=["2036-12-01T00:00:00Z"])
    ] = None
    id_prefix: Annotated[
        Annotated[str, Meta(pattern=r"^[0-9a-f-]{1,36}\Z")] | None,
        Meta(description="Whose id begins so. Goes with `limit` alone.", examples=["019a8e3c"]),
    ] = None
    limit: Limit = 50
    cursor: CursorParameter = None


class JobWait(Struct, forbid_unknown_fields=True, kw_only=True):
    """How long to wait for a job's end."""

    wait: Annotated[
        float,
        Meta(
            ge=0,
            le=60,
            description="Seconds to wait for the job to be final before answering.",
            examples=[30],
        ),
    ] = 0.0


def filter_of(query: JobQuery) -> JobFilter:
    labels = [label.partition(":") for label in query.label]
    return JobFilter(
        states=query.state,
        queue=query.queue,
        script=query.script,
        labels=tuple((name, value) for name, _, value in labels),
        submitted_after=in_utc(query.submitted_after, "submitted_after"),
        submitted_before=in_utc(query.submitted_before, "submitted_before"),
    )
