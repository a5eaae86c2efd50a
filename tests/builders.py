"""Jobs, workers, endings and keys with sensible defaults: a test names only what it is about."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from adapters.system.clock import SystemChance
from application.ports.job_queue import Claim, Idempotency, Report
from domain.access import ApiKey, Scope, digest_of, prefix_of
from domain.attempt import Ending, Exit, Stop, Usage, judge
from domain.command import Command
from domain.job import Job, new_job
from domain.job_spec import JobSpec
from domain.policy import ConcurrencyLimit, RetryPolicy
from domain.worker import LeaseTerms, Worker

CHANCE = SystemChance()
TERMS = LeaseTerms()
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TIMEOUT = 60.0


def a_spec(**changes: Any) -> JobSpec:
    return replace(
        JobSpec(command=Command(script="load.py"), timeout_seconds=TIMEOUT, stop_grace_seconds=1.0), **changes
    )


def a_job(*, by: str = "alice", at: datetime | None = None, **spec: Any) -> Job:
    """A new job; ids grow with each call. Every other keyword is a field of the spec."""
    return new_job(CHANCE.new_id(), a_spec(**spec), at or datetime.now(UTC), by)


def jobs(count: int, **changes: Any) -> list[Job]:
    return [a_job(**changes) for _ in range(count)]


def repeatable(max_attempts: int = 3, delay_seconds: float = 0.0, **changes: Any) -> RetryPolicy:
    """More than one attempt; without a wait unless one is given."""
    return RetryPolicy(max_attempts=max_attempts, delay_seconds=delay_seconds, jitter=0.0, **changes)


def keyed(key: str, limit: int = 1) -> ConcurrencyLimit:
    return ConcurrencyLimit(key=key, limit=limit)


def a_worker(*queues: str, **changes: Any) -> Worker:
    worker = Worker(id=CHANCE.new_id(), host="host-1", pid=4711, version="0.1.0", slots=4, queues=queues)
    return replace(worker, **changes)


def a_request(key: str = "key-1", *, owner: str = "alice", digest: bytes = b"digest-1") -> Idempotency:
    return Idempotency(owner=owner, key=key, digest=digest)


def a_key(secret: str = "etl_abcdefgh0123456789", **changes: Any) -> ApiKey:  # noqa: S107 - a test's own secret
    key = ApiKey(
        id=CHANCE.new_id(),
        name="nightly",
        digest=digest_of(secret),
        prefix=prefix_of(secret),
        scopes=frozenset({Scope.JOBS_READ, Scope.JOBS_SUBMIT}),
        created_at=NOON,
        created_by="admin",
    )
    return replace(key, **changes)


# -- claims, and how attempts end ------------------------------------------------------------------


def claim_of(job: Job) -> Claim:
    return Claim(job_id=job.id, fence=job.fence)


def report_of(job: Job, ending: Ending | None = None) -> Report:
    return Report(job_id=job.id, fence=job.fence, ending=ending or succeeded())


def an_ending(**facts: Any) -> Ending:
    usage = Usage(wall_seconds=1.5, cpu_seconds=0.5, max_rss_bytes=10_000_000)
    return judge(Exit(usage=usage, **facts), TIMEOUT)


def succeeded() -> Ending:
    return an_ending(exit_code=0)


def failed(exit_code: int = 3) -> Ending:
    return an_ending(exit_code=exit_code)


def timed_out() -> Ending:
    return an_ending(signal_number=15, stopped=Stop.TIMEOUT)


def stopped_by_cancel() -> Ending:
    return an_ending(signal_number=15, stopped=Stop.CANCEL)


def lost() -> Ending:
    return judge(Exit(lost="Its supervisor died."), TIMEOUT)


def running(job: Job, session_id: UUID | None = None, *, started: bool = True) -> Job:
    """The job as it stands after a claim (and a start), without any store."""
    claimed = job.claimed(session_id or CHANCE.new_id(), "host-1:4711")
    return claimed.started(NOON) if started else claimed
