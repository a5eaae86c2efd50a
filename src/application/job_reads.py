"""A job and its attempts, read once for all who follow it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from application.ports.job_history import JobHistory
from domain.attempt import Attempt
from domain.job import Job

KEPT_SECONDS: Final = 1.0
"""How old an answer of `latest` may be, beside the time that it took."""


@dataclass(frozen=True, slots=True)
class JobRead:
    """The attempts are as they were when the job was so, or later."""

    job: Job
    attempts: Sequence[Attempt]


class JobReads:
    """However many ask for one job at once, at most two reads of it follow."""

    def __init__(self, history: JobHistory) -> None:
        self._history = history
        self._reads: dict[UUID, asyncio.Task[JobRead]] = {}

    async def fresh(self, job_id: UUID) -> JobRead:
        """Read after this was called. Raises JobNotFound."""
        before = self._reads.get(job_id)
        if before is not None and not before.done():
            await asyncio.wait([before])
        if self._reads.get(job_id) in {None, before}:  # nobody else has begun one meanwhile
            self._begin(job_id)
        return await asyncio.shield(self._reads[job_id])

    async def latest(self, job_id: UUID) -> JobRead:
        """Read a moment ago. Raises JobNotFound."""
        if job_id not in self._reads:
            self._begin(job_id)
        return await asyncio.shield(self._reads[job_id])

    def _begin(self, job_id: UUID) -> None:
        read = self._reads[job_id] = asyncio.create_task(self._read(job_id))
        read.add_done_callback(lambda done: self._keep(job_id, done))

    async def _read(self, job_id: UUID) -> JobRead:
        job = await self._history.get(job_id)
        return JobRead(job, await self._history.attempts(job_id))

    def _keep(self, job_id: UUID, read: asyncio.Task[JobRead]) -> None:
        if read.cancelled() or read.exception() is not None:
            self._forget(job_id, read)
        else:
            asyncio.get_running_loop().call_later(KEPT_SECONDS, self._forget, job_id, read)

    def _forget(self, job_id: UUID, read: asyncio.Task[JobRead]) -> None:
        if self._reads.get(job_id) is read:
            del self._reads[job_id]
