"""What the HTTP API can do: the use cases that the composition root hands over."""

from dataclasses import dataclass, replace

from application.authenticate import Authenticate
from application.cancel_job import CancelJob
from application.check_health import CheckHealth
from application.follow_log import FollowLog
from application.manage_keys import IssueKey, ListKeys, RevokeKey
from application.manage_queues import LimitQueue, ListQueues, PauseQueue, ResumeQueue
from application.manage_workers import DrainWorker, ListWorkers
from application.read_jobs import (
    AwaitJob,
    ExplainJob,
    FindJobs,
    ListAttempts,
    ListEvents,
    ListJobs,
    ReadJob,
)
from application.read_log import FindLog, ReadLogBytes, ReadLogLines
from application.retry_job import RetryJob
from application.submit_jobs import SubmitBatch, SubmitJobs
from entrypoints.exposition import Exposition
from entrypoints.http.limits import RequestLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCases:
    """One field a use case, named like it; all figures of this process; and how often callers may call."""

    authenticate: Authenticate
    submit_jobs: SubmitJobs
    submit_batch: SubmitBatch
    cancel_job: CancelJob
    retry_job: RetryJob
    read_job: ReadJob
    explain_job: ExplainJob
    await_job: AwaitJob
    list_jobs: ListJobs
    find_jobs: FindJobs
    list_attempts: ListAttempts
    list_events: ListEvents
    find_log: FindLog
    read_log_bytes: ReadLogBytes
    read_log_lines: ReadLogLines
    follow_log: FollowLog
    list_queues: ListQueues
    pause_queue: PauseQueue
    resume_queue: ResumeQueue
    limit_queue: LimitQueue
    list_workers: ListWorkers
    drain_worker: DrainWorker
    issue_key: IssueKey
    list_keys: ListKeys
    revoke_key: RevokeKey
    check_health: CheckHealth
    exposition: Exposition
    limits: RequestLimits


def only_this_process(use_cases: UseCases) -> UseCases:
    """Its figures without those of the installation, which every API tells."""
    return replace(use_cases, exposition=replace(use_cases.exposition, read_metrics=None))
