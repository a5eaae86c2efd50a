"""What a job is, why it waits, and waiting until it has ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from application.ports.clock import Clock
from application.ports.job_history import JobFilter, JobHistory
from application.ports.notifier import Notifier, changes_of
from domain.attempt import Attempt
from domain.event import Event
from domain.job import Job, JobState
from domain.waiting import waiting_for

POLL_SECONDS: Final = 2.0
"""How long a lost notification may delay an answer."""


@dataclass(frozen=True, slots=True)
class ReadJob:
    """One job as it stands."""

    history: JobHistory

    async def __call__(self, job_id: UUID) -> Job:
        """Raises JobNotFound."""
        return await self.history.get(job_id)


@dataclass(frozen=True, slots=True)
class ExplainJob:
    """Why a job waits or how it ended, in one sentence."""

    history: JobHistory
    clock: Clock

    async def __call__(self, job: Job) -> str | None:
        """None while it runs, and after it succeeded."""
        if job.state is JobState.QUEUED:
            return waiting_for(job, await self.history.surroundings(job), self.clock.now())
        return job.reason.message if job.reason else None


@dataclass(frozen=True, slots=True)
class AwaitJob:
    """Long poll: the job as soon as it is final, or as it stands when the time is up."""

    history: JobHistory
    notifier: Notifier
    clock: Clock

    async def __call__(self, job_id: UUID, seconds: float) -> Job:
        """Raises JobNotFound."""
        until = self.clock.elapsed() + seconds
        async with self.notifier.subscribe(changes_of(job_id)) as notices:
            while True:
                job = await self.history.get(job_id)
                left = until - self.clock.elapsed()
                if job.state.is_final or left <= 0:
                    return job
                look_again = self.clock.elapsed() + min(left, POLL_SECONDS)
                while (pause := look_again - self.clock.elapsed()) > 0:
                    if await notices.wait(pause):
                        break


@dataclass(frozen=True, slots=True)
class ListJobs:
    """A page of jobs, newest first."""

    history: JobHistory

    async def __call__(self, matching: JobFilter, before: UUID | None, limit: int) -> Sequence[Job]:
        return await self.history.list(matching, before, limit)


@dataclass(frozen=True, slots=True)
class FindJobs:
    """Ids by their first digits, as people type them."""

    history: JobHistory

    async def __call__(self, prefix: str, limit: int) -> Sequence[UUID]:
        return await self.history.find(prefix, limit)


@dataclass(frozen=True, slots=True)
class ListAttempts:
    """Every try of a job."""

    history: JobHistory

    async def __call__(self, job_id: UUID) -> Sequence[Attempt]:
        """Raises JobNotFound."""
        return await self.history.attempts(job_id)


@dataclass(frozen=True, slots=True)
class ListEvents:
    """Every change of a job."""

    history: JobHistory

    async def __call__(self, job_id: UUID) -> Sequence[Event]:
        """Raises JobNotFound."""
        return await self.history.events(job_id)
