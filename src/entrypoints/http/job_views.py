"""What callers see of a job: mapped field by field, so that a new field leaks nowhere."""

from typing import Annotated

from msgspec import Meta, Struct

from domain.attempt import Outcome, Reason, Usage
from domain.job import Job, JobState
from domain.policy import ConcurrencyLimit, LeftBehind, RetryPolicy
from domain.resources import Resources
from domain.secret import mask_secrets
from entrypoints.http.request_types import ParameterValue
from entrypoints.http.view_types import Cursor, Id, Uuid, When


class RetryView(Struct, kw_only=True):
    """When the job is tried again."""

    max_attempts: Annotated[int, Meta(description="Tries in all.", examples=[3])]
    delay_seconds: Annotated[float, Meta(description="Wait before the second try.", examples=[10])]
    factor: Annotated[float, Meta(description="Each wait is this many times the one before.", examples=[2])]
    max_delay_seconds: Annotated[float, Meta(description="No wait is longer.", examples=[3600])]
    jitter: Annotated[float, Meta(description="Each wait is spread by this share.", examples=[0.1])]
    on: Annotated[
        list[Outcome], Meta(description="The outcomes that are tried again.", examples=[["failed", "lost"]])
    ]
    exit_codes: Annotated[
        list[int], Meta(description="If any: only after these exit codes.", examples=[[75]])
    ]


class ConcurrencyView(Struct, kw_only=True):
    """What the job does not run beside."""

    key: Annotated[str, Meta(description="What the jobs share.", examples=["warehouse:orders"])]
    limit: Annotated[int, Meta(description="How many at once.", examples=[1])]


class ResourcesView(Struct, kw_only=True):
    """What one attempt's processes may take together; null: no limit."""

    memory_bytes: Annotated[int | None, Meta(description="Of the whole tree.", examples=[2147483648])]
    cpu_seconds: Annotated[float | None, Meta(description="Of the whole tree.", examples=[600])]
    open_files: Annotated[int | None, Meta(description="Of each process.", examples=[1024])]
    processes: Annotated[int | None, Meta(description="At once.", examples=[64])]


class ReasonView(Struct, kw_only=True):
    """Why an attempt ended so."""

    code: Annotated[str, Meta(description="The reason, for programs.", examples=["exit"])]
    message: Annotated[str, Meta(description="One sentence.", examples=["Exited with status 3."])]
    exit_code: Annotated[int | None, Meta(description="The program's own status.", examples=[3])]
    signal: Annotated[str | None, Meta(description="The signal that killed it.", examples=["SIGKILL"])]
    last_lines: Annotated[
        list[str], Meta(description="The end of the log of a failure.", examples=[["Traceback …"]])
    ]


class UsageView(Struct, kw_only=True):
    """What the whole process tree took."""

    wall_seconds: Annotated[float, Meta(description="From start to end.", examples=[12.5])]
    cpu_seconds: Annotated[float, Meta(description="Of all processes together.", examples=[9.75])]
    max_rss_bytes: Annotated[int, Meta(description="Of the largest process.", examples=[73400320])]


class JobView(Struct, kw_only=True):
    """A job: its request as accepted, and where it stands."""

    id: Id
    state: Annotated[
        JobState, Meta(description="Where it is; the last three states are final.", examples=["running"])
    ]
    script: Annotated[str | None, Meta(description="As requested.", examples=["load_orders.py"])]
    command: Annotated[
        list[str] | None, Meta(description="As requested.", examples=[None, ["pg_dump", "-V"]])
    ]
    args: Annotated[list[str], Meta(description="As requested.", examples=[["--verbose"]])]
    parameters: Annotated[
        dict[str, ParameterValue], Meta(description="As requested.", examples=[{"period": "2026-01"}])
    ]
    environment: Annotated[
        dict[str, str],
        Meta(description="As requested; secrets are masked.", examples=[{"DB_PASSWORD": "***"}]),
    ]
    queue: Annotated[str, Meta(description="Its queue.", examples=["default"])]
    priority: Annotated[int, Meta(description="Higher goes first.", examples=[0])]
    not_before: Annotated[When, Meta(description="The next start is not earlier.")]
    expires_at: Annotated[When, Meta(description="If still queued then: cancelled.")]
    timeout_seconds: Annotated[float | None, Meta(description="Of one attempt.", examples=[3600])]
    stop_grace_seconds: Annotated[float | None, Meta(description="SIGTERM to SIGKILL.", examples=[10])]
    retry: Annotated[RetryView, Meta(description="When it is tried again.")]
    concurrency: Annotated[ConcurrencyView | None, Meta(description="What it does not run beside.")]
    resources: Annotated[ResourcesView, Meta(description="What it may take.")]
    left_behind: Annotated[
        LeftBehind, Meta(description="What becomes of processes that outlive the main one.")
    ]
    labels: Annotated[dict[str, str], Meta(description="As requested.", examples=[{"team": "finance"}])]
    submitted_at: Annotated[When, Meta(description="When it was accepted.")]
    submitted_by: Annotated[str, Meta(description="The name of the key.", examples=["admin"])]
    started_at: Annotated[When, Meta(description="The first start.")]
    finished_at: Annotated[When, Meta(description="When it became final.")]
    cancel_requested_at: Annotated[When, Meta(description="When somebody asked to stop it.")]
    attempt: Annotated[int, Meta(description="Number of tries so far.", examples=[1])]
    worker: Annotated[str | None, Meta(description="Host and process of the last.", examples=["etl-1:42"])]
    outcome: Annotated[
        Outcome | None, Meta(description="How the latest ended attempt ended.", examples=["failed"])
    ]
    reason: Annotated[ReasonView | None, Meta(description="Why it ended so.")]
    usage: Annotated[UsageView | None, Meta(description="What the latest ended attempt took.")]
    retry_of: Annotated[
        Uuid | None,
        Meta(description="The job that this one repeats.", examples=["019a8e3c-5b7e-7c31-9a55-0b6f2f3f9d11"]),
    ]
    waiting_for: Annotated[
        str | None,
        Meta(
            description="Why it waits, in a sentence: while queued, where one job is read.",
            examples=["No live worker serves queue 'default'."],
        ),
    ]


class JobPage(Struct, kw_only=True):
    """Jobs, newest first."""

    items: Annotated[list[JobView], Meta(description="The jobs.")]
    next_cursor: Cursor


class BatchView(Struct, kw_only=True):
    """The jobs of a batch, in the order of the request."""

    jobs: Annotated[list[JobView], Meta(description="The jobs.")]


def job_view(job: Job, waiting_for: str | None = None) -> JobView:
    spec, command = job.spec, job.spec.command
    return JobView(
        id=str(job.id),
        state=job.state,
        script=command.script,
        command=list(command.argv) or None,
        args=list(command.args),
        parameters={k: list(v) if isinstance(v, tuple) else v for k, v in command.parameters.items()},
        environment=mask_secrets(spec.environment),
        queue=spec.queue,
        priority=spec.priority,
        not_before=job.not_before or spec.not_before,
        expires_at=spec.expires_at,
        timeout_seconds=spec.timeout_seconds,
        stop_grace_seconds=spec.stop_grace_seconds,
        retry=_retry_view(spec.retry),
        concurrency=_concurrency_view(spec.concurrency),
        resources=_resources_view(spec.resources),
        left_behind=spec.left_behind,
        labels=dict(spec.labels),
        submitted_at=job.submitted_at,
        submitted_by=job.submitted_by,
        started_at=job.started_at,
        finished_at=job.finished_at,
        cancel_requested_at=job.cancel_requested_at,
        attempt=job.attempt,
        worker=job.worker,
        outcome=job.outcome,
        reason=reason_view(job.reason),
        usage=usage_view(job.usage),
        retry_of=None if job.retry_of is None else str(job.retry_of),
        waiting_for=waiting_for,
    )


def _retry_view(policy: RetryPolicy) -> RetryView:
    return RetryView(
        max_attempts=policy.max_attempts,
        delay_seconds=policy.delay_seconds,
        factor=policy.factor,
        max_delay_seconds=policy.max_delay_seconds,
        jitter=policy.jitter,
        on=list(policy.on),
        exit_codes=list(policy.exit_codes),
    )


def _concurrency_view(limit: ConcurrencyLimit | None) -> ConcurrencyView | None:
    return None if limit is None else ConcurrencyView(key=limit.key, limit=limit.limit)


def _resources_view(limits: Resources) -> ResourcesView:
    return ResourcesView(
        memory_bytes=limits.memory_bytes,
        cpu_seconds=limits.cpu_seconds,
        open_files=limits.open_files,
        processes=limits.processes,
    )


def reason_view(reason: Reason | None) -> ReasonView | None:
    if reason is None:
        return None
    return ReasonView(
        code=reason.code,
        message=reason.message,
        exit_code=reason.exit_code,
        signal=reason.signal,
        last_lines=list(reason.last_lines),
    )


def usage_view(usage: Usage | None) -> UsageView | None:
    if usage is None:
        return None
    return UsageView(
        wall_seconds=usage.wall_seconds,
        cpu_seconds=usage.cpu_seconds,
        max_rss_bytes=usage.max_rss_bytes,
    )
