"""Rescue: what maintenance does with attempts whose lease expired."""

from dataclasses import dataclass
from typing import Final

from application.ports.job_queue import JobQueue
from application.ports.meters import Meters
from application.ports.notifier import JobChanged, JobsWaiting, Notifier

BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class RescueLost:
    """Their jobs go back to the queue if their policy allows, and fail with a sentence if not."""

    queue: JobQueue
    notifier: Notifier
    meters: Meters

    async def __call__(self) -> int:
        """How many were rescued; what is left over comes with the next tick."""
        jobs = await self.queue.rescue(BATCH)
        self.meters.rescued(len(jobs))
        self.notifier.publish(*(JobChanged(job.id) for job in jobs))
        self.notifier.publish(*{JobsWaiting(job.spec.queue) for job in jobs})
        return len(jobs)
