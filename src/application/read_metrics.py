"""What an operator watches: the queues, the workers, and who slows the database down."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from application.ports.job_queue import JobQueue
from application.ports.worker_registry import WorkerRegistry
from domain.horizon import HorizonHolder
from domain.queue import Queue
from domain.worker import Worker


@dataclass(frozen=True, slots=True)
class Metrics:
    """One moment. `horizon` is None where no other client has a transaction open."""

    queues: Sequence[Queue]
    workers: Sequence[Worker]
    horizon: HorizonHolder | None


@dataclass(frozen=True, slots=True)
class ReadMetrics:
    """Asked anew each time: every process of an installation tells the same."""

    queue: JobQueue
    workers: WorkerRegistry
    horizon: Callable[[], Awaitable[HorizonHolder | None]]

    async def __call__(self) -> Metrics:
        queues, workers = await self.queue.queues(), await self.workers.list()
        return Metrics(queues, workers, await self.horizon())
