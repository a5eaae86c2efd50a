"""What the memory adapters share: the tables of this store. Nothing survives the process."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from application.asking.inbox import Inbox
from domain.access import ApiKey
from domain.attempt import Attempt
from domain.errors import JobNotFound
from domain.event import Event, events_between
from domain.job import Job, JobState
from domain.queue import Queue
from domain.worker import Worker, WorkerState


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A worker's process life. The instants are on Clock.elapsed(): no wall clock ends a lease."""

    worker: Worker
    lease_until: float
    last_lease_until: float
    died_at: float | None = None

    def lives(self, at: float) -> bool:
        return self.died_at is None and at < self.lease_until

    def may_claim(self, at: float) -> bool:
        return self.lives(at) and self.worker.state is WorkerState.UP

    def serves(self, queue: str) -> bool:
        return not self.worker.queues or queue in self.worker.queues

    def dead(self, at: float) -> "Session":
        return replace(self, died_at=at, worker=replace(self.worker, state=WorkerState.DEAD))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What an idempotency key stands for."""

    digest: bytes
    job_ids: tuple[UUID, ...]


@dataclass(slots=True)
class Records:
    """The store. A method that does not await is a transaction: the event loop runs one at a time."""

    jobs: dict[UUID, Job] = field(default_factory=dict)
    attempts: dict[UUID, dict[int, Attempt]] = field(default_factory=dict)
    events: dict[UUID, list[Event]] = field(default_factory=dict)
    queues: dict[str, Queue] = field(default_factory=dict)
    requests: dict[tuple[str, str], Request] = field(default_factory=dict)
    sessions: dict[UUID, Session] = field(default_factory=dict)
    keys: dict[UUID, ApiKey] = field(default_factory=dict)
    inboxes: set[Inbox] = field(default_factory=set)
    leader: object | None = None

    def job(self, job_id: UUID) -> Job:
        if (job := self.jobs.get(job_id)) is None:
            raise JobNotFound(f"There is no job {job_id}.")
        return job

    def stands(self, key_id: UUID) -> bool:
        return (key := self.keys.get(key_id)) is not None and key.revoked_at is None

    def store(self, after: Job, at: datetime, actor: str) -> Job:
        """The job, with the event that its change amounts to."""
        before = self.jobs.get(after.id)
        self.jobs[after.id] = after
        self.events.setdefault(after.id, []).extend(events_between(before, after, at, actor))
        return after

    def held(self, job_id: UUID, fence: int) -> Job | None:
        """The job while the attempt of this fence is the one that runs."""
        job = self.jobs.get(job_id)
        return job if job and job.state is JobState.RUNNING and job.fence == fence else None

    def running(self, session_id: UUID) -> Iterator[Job]:
        return (job for job in self.jobs.values() if job.session_id == session_id)

    def waiting(self, at: datetime) -> list[Job]:
        """Jobs that are due, in the order in which they are to be claimed."""
        due = (job for job in self.jobs.values() if job.is_due(at) and not _is_late(job, at))
        return sorted(due, key=lambda job: (-job.spec.priority, job.id))

    def late(self, at: datetime) -> list[Job]:
        return [job for job in self.jobs.values() if job.state is JobState.QUEUED and _is_late(job, at)]

    def lost(self, at: float) -> list[Job]:
        """Jobs whose lease is over: of a dead session, and not its last attempt's longer one."""
        held = ((job, self.sessions[job.session_id]) for job in self.jobs.values() if job.session_id)
        return [
            job for job, session in held if session.died_at is not None and not _outlives(job, session, at)
        ]

    def holders_of_queue(self, queue: str) -> tuple[UUID, ...]:
        return tuple(
            j.id for j in self.jobs.values() if j.state is JobState.RUNNING and j.spec.queue == queue
        )

    def holders_of_key(self, key: str) -> tuple[UUID, ...]:
        """Those that name this key, whatever limit each of them stated."""
        held = ((j.id, j.spec.concurrency) for j in self.jobs.values() if j.state is JobState.RUNNING)
        return tuple(job_id for job_id, limit in held if limit and limit.key == key)

    def open_attempt(self, job: Job, worker: Worker, at: datetime) -> None:
        self.attempts.setdefault(job.id, {})[job.fence] = Attempt(
            job_id=job.id,
            number=job.attempt,
            fence=job.fence,
            session_id=worker.id,
            worker=worker.name,
            claimed_at=at,
        )

    def amend_attempt(self, job: Job, **changes: Any) -> None:
        attempts = self.attempts[job.id]
        attempts[job.fence] = replace(attempts[job.fence], **changes)

    def bury_expired(self, at: float) -> None:
        """Declares sessions dead whose lease is over: one way."""
        for session_id, session in self.sessions.items():
            if session.died_at is None and not session.lives(at):
                self.sessions[session_id] = session.dead(at)


def _is_late(job: Job, at: datetime) -> bool:
    return job.spec.expires_at is not None and job.spec.expires_at <= at


def _outlives(job: Job, session: Session, at: float) -> bool:
    return job.attempt_started and job.is_last_attempt and at < session.last_lease_until
