"""Retry by hand: a new job with the spec of one that has ended."""

from dataclasses import dataclass
from uuid import UUID

from application.ports.clock import Chance, Clock
from application.ports.job_history import JobHistory
from application.ports.job_queue import JobQueue
from application.ports.meters import Meters
from application.ports.notifier import JobsWaiting, Notifier
from domain.access import Principal, Scope
from domain.job import Job


@dataclass(frozen=True, slots=True)
class RetryJob:
    """The old job stays as it is: final means final."""

    queue: JobQueue
    history: JobHistory
    notifier: Notifier
    clock: Clock
    chance: Chance
    meters: Meters

    async def __call__(self, job_id: UUID, by: Principal) -> Job:
        """Raises JobNotFound, JobIsNotFinal, and MissingScope for a command without `jobs:command`."""
        old = await self.history.get(job_id)
        by.require(Scope.JOBS_COMMAND if old.spec.command.script is None else Scope.JOBS_SUBMIT)
        job = old.retried(self.chance.new_id(), self.clock.now(), by.name)
        submitted = await self.queue.submit([job])
        self.meters.submitted(1)
        self.notifier.publish(JobsWaiting(job.spec.queue))
        return submitted.jobs[0]
