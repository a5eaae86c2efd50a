"""Cancel: at once while queued, by request while running."""

from dataclasses import dataclass
from uuid import UUID

from application.ports.clock import Clock
from application.ports.job_queue import JobQueue
from application.ports.notifier import CancelRequested, JobChanged, Notifier
from domain.access import Principal
from domain.job import Job


@dataclass(frozen=True, slots=True)
class CancelJob:
    """The worker hears of it by notice, and by its next renewal if the notice is lost."""

    queue: JobQueue
    notifier: Notifier
    clock: Clock

    async def __call__(self, job_id: UUID, by: Principal) -> Job:
        """Raises JobNotFound, and JobIsFinal for a job that succeeded or failed."""
        now = self.clock.now()
        job = await self.queue.change(job_id, lambda job: job.cancel(now), by.name)
        self.notifier.publish(JobChanged(job.id))
        if job.session_id is not None:
            self.notifier.publish(CancelRequested(job.session_id, job.id))
        return job
