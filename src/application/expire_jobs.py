"""Expire: jobs that are still queued past their `expires_at` do not run any more."""

from dataclasses import dataclass
from typing import Final

from application.ports.job_queue import JobQueue
from application.ports.notifier import JobChanged, Notifier

BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class ExpireJobs:
    """They end as `cancelled`, with the reason `expired`."""

    queue: JobQueue
    notifier: Notifier

    async def __call__(self) -> int:
        """How many expired; what is left over comes with the next tick."""
        jobs = await self.queue.expire(BATCH)
        self.notifier.publish(*(JobChanged(job.id) for job in jobs))
        return len(jobs)
