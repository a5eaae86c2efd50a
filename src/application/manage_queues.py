"""Queues: look, pause, resume, limit."""

from collections.abc import Sequence
from dataclasses import dataclass

from application.ports.job_queue import JobQueue
from application.ports.notifier import JobsWaiting, Notifier
from domain.access import Principal
from domain.errors import Invalid, Place
from domain.queue import Queue


@dataclass(frozen=True, slots=True)
class ListQueues:
    """Every queue, and what is in it now."""

    queue: JobQueue

    async def __call__(self) -> Sequence[Queue]:
        return await self.queue.queues()


@dataclass(frozen=True, slots=True)
class PauseQueue:
    """No more claims; what runs goes on."""

    queue: JobQueue

    async def __call__(self, name: str, by: Principal) -> Queue:
        """Raises QueueNotFound."""
        return await self.queue.pause(name, by.name)


@dataclass(frozen=True, slots=True)
class ResumeQueue:
    """Claims go on."""

    queue: JobQueue
    notifier: Notifier

    async def __call__(self, name: str) -> Queue:
        """Raises QueueNotFound."""
        queue = await self.queue.resume(name)
        self.notifier.publish(JobsWaiting(name))
        return queue


@dataclass(frozen=True, slots=True)
class LimitQueue:
    """How many jobs of a queue may run at once, over all workers."""

    queue: JobQueue
    notifier: Notifier

    async def __call__(self, name: str, slots: int | None) -> Queue:
        """Raises Invalid for less than one slot: to stop a queue, pause it."""
        if slots is not None and slots < 1:
            raise Invalid("A queue needs a slot to move; pause it instead.", [Place("/slots", "is under 1")])
        queue = await self.queue.set_slots(name, slots)
        self.notifier.publish(JobsWaiting(name))
        return queue
