"""What callers send: the bodies of requests, and how they become the domain's values."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from domain.access import Scope
from domain.attempt import Outcome
from domain.command import Command
from domain.job_spec import MAX_LABELS, MAX_PRIORITY, MIN_PRIORITY, JobSpec
from domain.policy import MAX_ATTEMPTS, MAX_FACTOR, YEAR_SECONDS, ConcurrencyLimit, LeftBehind, RetryPolicy
from domain.resources import (
    MAX_BYTES,
    MAX_CPU_SECONDS,
    MAX_OPEN_FILES,
    MAX_PROCESSES,
    MIN_MEMORY_BYTES,
    MIN_OPEN_FILES,
    Resources,
)
from entrypoints.http.request_types import (
    MAX_PARAMETERS,
    Instant,
    Key,
    LabelName,
    LabelValue,
    ParameterName,
    ParameterValue,
    QueueName,
    Seconds,
    Text,
    VariableName,
    in_utc,
)

MAX_BATCH: Final = 1000
MAX_ARGS: Final = 1000
MAX_VARIABLES: Final = 256
MAX_SLOTS: Final = 10_000
"""Each slot is a row: a million of them took 11 s to make, in one transaction."""


class Retry(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """How often, when and after which ends the job is tried again."""

    max_attempts: Annotated[
        int, Meta(ge=1, le=MAX_ATTEMPTS, description="Tries in all; 1: no retry.", examples=[3])
    ] = 1
    delay_seconds: Annotated[
        float, Meta(ge=0, le=YEAR_SECONDS, description="Wait before the second try.", examples=[10])
    ] = 10.0
    factor: Annotated[
        float,
        Meta(ge=1, le=MAX_FACTOR, description="Each wait is this many times the one before.", examples=[2]),
    ] = 2.0
    max_delay_seconds: Annotated[
        float, Meta(ge=0, le=YEAR_SECONDS, description="No wait is longer than this.", examples=[3600])
    ] = 3600.0
    jitter: Annotated[
        float, Meta(ge=0, le=1, description="Each wait is spread by up to this share.", examples=[0.1])
    ] = 0.1
    on: Annotated[
        tuple[Literal["failed", "timed_out", "lost"], ...],
        Meta(max_length=3, description="The outcomes that are tried again.", examples=[["failed", "lost"]]),
    ] = ("failed", "timed_out", "lost")
    exit_codes: Annotated[
        list[Annotated[int, Meta(ge=1, le=255)]],
        Meta(
            max_length=255,
            description="If given, `failed` is tried again only after these exit codes.",
            examples=[[75]],
        ),
    ] = []


class Concurrency(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """At most `limit` jobs that name this key run at once, over all queues and workers."""

    key: Annotated[Key, Meta(description="What the jobs share.", examples=["warehouse:orders"])]
    limit: Annotated[int, Meta(ge=1, le=10_000, description="How many at once.", examples=[1])] = 1


class Limits(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What one attempt's processes may take together; null: no limit."""

    memory_bytes: Annotated[
        Annotated[int, Meta(ge=MIN_MEMORY_BYTES, le=MAX_BYTES)] | None,
        Meta(description="Of the whole tree; past it: killed, `out_of_memory`.", examples=[2147483648]),
    ] = None
    cpu_seconds: Annotated[
        Annotated[float, Meta(gt=0, le=MAX_CPU_SECONDS)] | None,
        Meta(description="Processor time of the whole tree; past it: `cpu_limit`.", examples=[600]),
    ] = None
    open_files: Annotated[
        Annotated[int, Meta(ge=MIN_OPEN_FILES, le=MAX_OPEN_FILES)] | None,
        Meta(description="Of each process (RLIMIT_NOFILE).", examples=[1024]),
    ] = None
    processes: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_PROCESSES)] | None,
        Meta(description="At once in the whole tree; past it: `process_limit`.", examples=[64]),
    ] = None


class JobRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One command to be run once to success. Exactly one of `script` and `command` is given."""

    script: Annotated[
        Annotated[str, Meta(min_length=1, max_length=1024)] | None,
        Meta(description="A path relative to the scripts directory.", examples=["load_orders.py"]),
    ] = None
    command: Annotated[
        Annotated[list[Text], Meta(min_length=1, max_length=MAX_ARGS)] | None,
        Meta(
            description="An argv, never a shell line; needs `jobs:command`. A program without a `/` is"
            " looked for on the job's `PATH`.",
            examples=[None, ["pg_dump", "-V"]],
        ),
    ] = None
    args: Annotated[
        list[Text],
        Meta(max_length=MAX_ARGS, description="Arguments as they are, last.", examples=[["--verbose"]]),
    ] = []
    parameters: Annotated[
        dict[ParameterName, ParameterValue],
        Meta(
            max_length=MAX_PARAMETERS,
            description="One argument each, names sorted: `true` is `--name`, a value `--name=value`, a list"
            " one each; `false` and `null` are left out. No value can become a flag.",
            examples=[{"period": "2026-01", "full": True, "region": ["eu", "us"]}],
        ),
    ] = {}
    environment: Annotated[
        dict[VariableName, Text],
        Meta(
            max_length=MAX_VARIABLES,
            description="Variables for the script. `ETL_*` and names that change which code runs (`LD_*`,"
            " `PYTHONPATH`, …) are refused.",
            examples=[{"REGION": "eu"}],
        ),
    ] = {}
    queue: Annotated[QueueName, Meta(description="The queue.", examples=["default"])] = "default"
    priority: Annotated[
        int,
        Meta(ge=MIN_PRIORITY, le=MAX_PRIORITY, description="Higher goes first, then older.", examples=[10]),
    ] = 0
    not_before: Annotated[
        Instant | None,
        Meta(description="Do not start earlier.", examples=["2036-12-01T04:00:00Z"]),
    ] = None
    expires_at: Annotated[
        Instant | None,
        Meta(description="If still queued then: cancelled.", examples=["2036-12-01T06:00:00Z"]),
    ] = None
    timeout_seconds: Annotated[
        Annotated[float, Meta(gt=0, le=YEAR_SECONDS)] | None,
        Meta(description="Stop an attempt after this long; null: the server's default.", examples=[3600]),
    ] = None
    stop_grace_seconds: Annotated[
        Seconds | None,
        Meta(description="Between SIGTERM and SIGKILL; null: the server's default.", examples=[10]),
    ] = None
    retry: Annotated[Retry, Meta(description="When to try again; the default is one try.")] = Retry()
    concurrency: Annotated[
        Concurrency | None, Meta(description="What it must not run beside; null: anything goes.")
    ] = None
    resources: Annotated[Limits, Meta(description="What it may take; the default is no limit.")] = Limits()
    left_behind: Annotated[
        Literal["kill", "keep"],
        Meta(
            description="What becomes of processes that outlive the main one. `keep`: they live on if it"
            " exited with status 0; after any other end they are stopped.",
            examples=["keep"],
        ),
    ] = "kill"
    labels: Annotated[
        dict[LabelName, LabelValue],
        Meta(max_length=MAX_LABELS, description="To find it by.", examples=[{"team": "finance"}]),
    ] = {}


class BatchRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Many jobs: all are accepted, or none."""

    jobs: Annotated[
        list[JobRequest],
        Meta(min_length=1, max_length=MAX_BATCH, description="The jobs.", examples=[[{"script": "load.py"}]]),
    ]


class QueueRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What of a queue can be set."""

    slots: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_SLOTS)] | None,
        Meta(description="How many jobs may run at once over all workers; null: no limit.", examples=[4]),
    ]


class KeyRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A new API key."""

    name: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}\Z",
            description="Who uses it; stands in events as the actor.",
            examples=["airflow-migration"],
        ),
    ]
    scopes: Annotated[
        list[Scope],
        Meta(min_length=1, max_length=16, description="What it may do.", examples=[["jobs:read"]]),
    ]
    expires_at: Annotated[
        Instant | None,
        Meta(description="When it stops to be valid; null: never.", examples=["2037-01-01T00:00:00Z"]),
    ] = None


def spec_of(wanted: JobRequest, traceparent: str) -> JobSpec:
    return JobSpec(
        command=_command(wanted),
        environment=wanted.environment,
        queue=wanted.queue,
        priority=wanted.priority,
        not_before=in_utc(wanted.not_before, "/not_before"),
        expires_at=in_utc(wanted.expires_at, "/expires_at"),
        timeout_seconds=wanted.timeout_seconds,
        stop_grace_seconds=wanted.stop_grace_seconds,
        retry=_policy(wanted.retry),
        concurrency=_limit(wanted.concurrency),
        resources=_resources(wanted.resources),
        left_behind=LeftBehind(wanted.left_behind),
        labels=wanted.labels,
        traceparent=traceparent,
    )


def _command(wanted: JobRequest) -> Command:
    return Command(
        script=wanted.script,
        argv=tuple(wanted.command or ()),
        args=tuple(wanted.args),
        parameters={
            name: tuple(value) if isinstance(value, list) else value
            for name, value in wanted.parameters.items()
        },
    )


def _limit(wanted: Concurrency | None) -> ConcurrencyLimit | None:
    return None if wanted is None else ConcurrencyLimit(key=wanted.key, limit=wanted.limit)


def _resources(wanted: Limits) -> Resources:
    return Resources(
        memory_bytes=wanted.memory_bytes,
        cpu_seconds=wanted.cpu_seconds,
        open_files=wanted.open_files,
        processes=wanted.processes,
    )


def _policy(wanted: Retry) -> RetryPolicy:
    return RetryPolicy(
        max_attempts=wanted.max_attempts,
        delay_seconds=wanted.delay_seconds,
        factor=wanted.factor,
        max_delay_seconds=wanted.max_delay_seconds,
        jitter=wanted.jitter,
        on=tuple(Outcome(name) for name in wanted.on),
        exit_codes=tuple(wanted.exit_codes),
    )
