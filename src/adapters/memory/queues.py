"""Named queues in memory: their limits, their pauses, and what is in them."""

from collections.abc import Sequence
from dataclasses import replace

from adapters.memory.records import Records
from application.ports.clock import Clock
from domain.errors import QueueNotFound
from domain.job import Job, JobState
from domain.queue import Queue


class MemoryQueues:
    """The part of JobQueue that is about queues rather than jobs."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    async def queues(self) -> Sequence[Queue]:
        return [self._with_counts(queue) for _, queue in sorted(self._records.queues.items())]

    async def pause(self, queue: str, by: str) -> Queue:
        found = self._find(queue)
        if found.paused_at is None:
            found = replace(found, paused_at=self._clock.now(), paused_by=by)
        return self._save(found)

    async def resume(self, queue: str) -> Queue:
        return self._save(replace(self._find(queue), paused_at=None, paused_by=None))

    async def set_slots(self, queue: str, slots: int | None) -> Queue:
        self._make_queue(queue)
        return self._save(replace(self._find(queue), slots=slots))

    def _make_queue(self, name: str) -> None:
        self._records.queues.setdefault(name, Queue(name=name))

    def _has_room(self, job: Job) -> bool:
        """Whether a claim of this job breaks no limit and no pause."""
        queue, key = self._records.queues[job.spec.queue], job.spec.concurrency
        if queue.paused_at is not None:
            return False
        if queue.slots is not None and len(self._records.holders_of_queue(queue.name)) >= queue.slots:
            return False
        return key is None or len(self._records.holders_of_key(key.key)) < key.limit

    def _find(self, name: str) -> Queue:
        if (queue := self._records.queues.get(name)) is None:
            raise QueueNotFound(f"There is no queue {name!r}.")
        return queue

    def _save(self, queue: Queue) -> Queue:
        self._records.queues[queue.name] = queue
        return self._with_counts(queue)

    def _with_counts(self, queue: Queue) -> Queue:
        at = self._clock.now()
        here = [job for job in self._records.jobs.values() if job.spec.queue == queue.name]
        queued = [job for job in here if job.state is JobState.QUEUED]
        since = [
            max(job.submitted_at, job.not_before or job.submitted_at) for job in queued if job.is_due(at)
        ]
        return replace(
            queue,
            waiting=len(since),
            scheduled=len(queued) - len(since),
            running=sum(job.state is JobState.RUNNING for job in here),
            oldest_waiting_since=min(since, default=None),
        )
