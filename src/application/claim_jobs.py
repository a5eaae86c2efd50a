"""Claim: as many due jobs as this worker has free slots."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from application.held_attempts import HeldAttempts
from application.ports.clock import Clock
from application.ports.job_queue import JobQueue
from application.ports.meters import Meters
from application.require_disk_space import RequireDiskSpace
from application.trace_attempt import TraceAttempt
from domain.errors import MachineFull
from domain.job import Job

MAX_CLAIM: Final = 100


@dataclass(frozen=True, slots=True)
class ClaimJobs:
    """Never more than can start at once: what waits here would be kept from workers that are free."""

    queue: JobQueue
    held: HeldAttempts
    require_disk_space: RequireDiskSpace
    clock: Clock
    meters: Meters
    trace: TraceAttempt

    async def __call__(self) -> Sequence[Job]:
        """None without a session or a free slot. Raises DiskNearlyFull, DiskUnavailable, MachineFull."""
        limit = min(self.held.free, MAX_CLAIM)
        if self.held.session_id is None or limit == 0:
            return ()
        if self.clock.elapsed() < self.held.full_until:
            raise MachineFull("No attempt can begin here: too many processes run, or memory or disk is full.")
        await self.require_disk_space()
        asked_at, heard_at = self.clock.elapsed(), self.held.heard_at
        self.held.heard_at = None
        jobs = await self.queue.claim(self.held.session_id, limit)
        self._measure(jobs, asked_at, heard_at)
        return jobs

    def _measure(self, jobs: Sequence[Job], asked_at: float, heard_at: float | None) -> None:
        at, now = self.clock.elapsed(), self.clock.now()
        self.meters.claimed(at - asked_at, [(now - job.due_at).total_seconds() for job in jobs])
        if heard_at is not None and jobs:
            self.meters.woken(at - heard_at)
        for job in jobs:
            self.trace.claimed(job, now)
