"""Reading jobs, live and final, and forgetting the old ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.attempt import Attempt
from domain.event import Event
from domain.job import Job, JobState
from domain.waiting import Surroundings


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs to list; an empty field does not filter. All `labels` must match."""

    states: tuple[JobState, ...] = ()
    queue: str | None = None
    script: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    submitted_after: datetime | None = None
    submitted_before: datetime | None = None


class JobHistory(Protocol):
    """Everything that can be asked about jobs. Raises DatabaseUnavailable."""

    async def get(self, job_id: UUID) -> Job:
        """Raises JobNotFound."""

    async def find(self, prefix: str, limit: int) -> Sequence[UUID]:
        """Ids that begin with `prefix` (hex digits, hyphens optional), newest first."""

    async def list(self, matching: JobFilter, before: UUID | None, limit: int) -> Sequence[Job]:
        """Newest first, those older than `before`: a page costs the same at any depth."""

    async def attempts(self, job_id: UUID) -> Sequence[Attempt]:
        """By fence, claims that were given back included. Raises JobNotFound."""

    async def events(self, job_id: UUID) -> Sequence[Event]:
        """In the order in which they happened. Raises JobNotFound."""

    async def surroundings(self, job: Job) -> Surroundings:
        """What stands between a queued job and a worker, read cheaply (domain/waiting.py)."""

    async def prune(self, finished_before: datetime, limit: int) -> Sequence[UUID]:
        """Deletes at most `limit` final jobs with all that belongs to them; returns their ids."""
