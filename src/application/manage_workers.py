"""Workers: look, drain."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from application.ports.worker_registry import WorkerRegistry
from domain.worker import Worker

FORGET_SECONDS: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class ListWorkers:
    """The living ones, the oldest first."""

    workers: WorkerRegistry

    async def __call__(self) -> Sequence[Worker]:
        return await self.workers.list()


@dataclass(frozen=True, slots=True)
class ForgetDeadWorkers:
    """Sessions that ended long ago and hold nothing leave the database."""

    workers: WorkerRegistry

    async def __call__(self) -> int:
        """How many went."""
        return await self.workers.forget_dead(FORGET_SECONDS)


@dataclass(frozen=True, slots=True)
class DrainWorker:
    """The worker claims nothing more, ends what it has, and hears of it by its next renewal."""

    workers: WorkerRegistry

    async def __call__(self, worker_id: UUID) -> Worker:
        """Raises WorkerNotFound."""
        return await self.workers.drain(worker_id)
