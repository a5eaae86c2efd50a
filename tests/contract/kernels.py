"""The stores behind the contract suites, with controls for their time, and the steps that tests share."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

from adapters.memory.access_store import MemoryAccessStore
from adapters.memory.job_history import MemoryJobHistory
from adapters.memory.job_queue import MemoryJobQueue
from adapters.memory.rate_limits import MemoryRateLimits
from adapters.memory.records import Records
from adapters.memory.worker_registry import MemoryWorkerRegistry
from adapters.system.clock import SystemChance, SystemClock
from application.ports.access_store import AccessStore
from application.ports.job_history import JobFilter, JobHistory
from application.ports.job_queue import JobQueue
from application.ports.rate_limits import RateLimits
from application.ports.worker_registry import WorkerRegistry
from domain.job import Job
from domain.worker import Worker
from tests.builders import TERMS, a_worker, claim_of

RIVALS = 20
"""Callers at one moment: one of them wins, or all of them share."""


class Kernel(Protocol):
    """One fresh store through its ports, and controls that let its time pass."""

    queue: JobQueue
    history: JobHistory
    registry: WorkerRegistry
    access: AccessStore
    rates: RateLimits

    async def pass_time(self, seconds: float) -> None:
        """So many seconds go by for all buckets."""

    async def expire_lease(self, session_id: UUID) -> None:
        """The session's lease is over; its last attempts' lease is not."""

    async def expire_last_lease(self, session_id: UUID) -> None:
        """Both leases are over."""

    async def make_due(self, job_id: UUID) -> None:
        """The wait of this queued job is over."""

    async def make_late(self, job_id: UUID) -> None:
        """The `expires_at` of this queued job, which must have one, is over."""

    async def clear(self) -> None:
        """The store is as fresh as at first."""


@dataclass(slots=True)
class MemoryKernel:
    records: Records
    queue: JobQueue
    history: JobHistory
    registry: WorkerRegistry
    access: AccessStore
    rates: RateLimits

    @classmethod
    def fresh(cls) -> "MemoryKernel":
        records, clock = Records(), SystemClock()
        return cls(
            records=records,
            queue=MemoryJobQueue(records, clock, SystemChance()),
            history=MemoryJobHistory(records, clock),
            registry=MemoryWorkerRegistry(records, clock),
            access=MemoryAccessStore(records),
            rates=MemoryRateLimits(clock),
        )

    async def pass_time(self, seconds: float) -> None:
        assert isinstance(self.rates, MemoryRateLimits)
        self.rates.full_at = {subject: at - seconds for subject, at in self.rates.full_at.items()}

    async def expire_lease(self, session_id: UUID) -> None:
        session = self.records.sessions[session_id]
        self.records.sessions[session_id] = replace(session, lease_until=0.0)

    async def expire_last_lease(self, session_id: UUID) -> None:
        session = self.records.sessions[session_id]
        self.records.sessions[session_id] = replace(session, lease_until=0.0, last_lease_until=0.0)

    async def make_due(self, job_id: UUID) -> None:
        job = self.records.jobs[job_id]
        self.records.jobs[job_id] = replace(job, not_before=job.submitted_at)

    async def make_late(self, job_id: UUID) -> None:
        job = self.records.jobs[job_id]
        spec = replace(job.spec, expires_at=job.submitted_at)
        self.records.jobs[job_id] = replace(job, spec=spec)

    async def clear(self) -> None:
        self.rates = MemoryRateLimits(SystemClock())
        for each in fields(Records):
            if each.name != "leader":
                getattr(self.records, each.name).clear()


async def join(kernel: Kernel, *queues: str, **changes: Any) -> Worker:
    """A live worker of these queues; of all if none is given."""
    worker = a_worker(*queues, **changes)
    await kernel.registry.join(worker, TERMS)
    return worker


async def claim_one(kernel: Kernel, worker: Worker) -> Job:
    (job,) = await kernel.queue.claim(worker.id, 1)
    return job


async def start_one(kernel: Kernel, worker: Worker) -> Job:
    """Claims and starts one job, and returns it as it now stands."""
    job = await claim_one(kernel, worker)
    assert await kernel.queue.start([claim_of(job)]) == [claim_of(job)]
    return await kernel.history.get(job.id)


async def submit(kernel: Kernel, *jobs: Job) -> Sequence[Job]:
    return (await kernel.queue.submit(jobs)).jobs


async def stored(kernel: Kernel) -> list[Job]:
    """Every job of the store, newest first."""
    return list(await kernel.history.list(JobFilter(), None, 1000))


def cancel(job: Job) -> Job:
    """A decision for JobQueue.change."""
    return job.cancel(datetime.now(UTC))


class Closable(Protocol):
    async def close(self) -> None: ...


C = TypeVar("C", bound=Closable)


@asynccontextmanager
async def closing(adapter: C) -> AsyncIterator[C]:
    """Opens what wants to be opened, and closes it."""
    if opened := getattr(adapter, "open", None):
        await opened()
    try:
        yield adapter
    finally:
        await adapter.close()
