"""Upkeep of logs in memory: what is compressed here is only counted."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from adapters.memory.log_store import MemoryLogStore, microseconds
from domain.job import submitted_at
from domain.log import LogRef


class MemoryLogUpkeep:
    """LogUpkeep."""

    def __init__(self, store: MemoryLogStore) -> None:
        self._store = store
        self._compressed: set[LogRef] = set()

    async def prune(self, job_id: UUID) -> None:
        for ref in [ref for ref in self._store.logs if ref.job_id == job_id]:
            del self._store.logs[ref]

    async def prune_idle(self, since: datetime, limit: int) -> Sequence[UUID]:
        logs, moment = self._store.logs, microseconds(since)
        busy = {ref.job_id for ref, log in logs.items() if max(log.latest) >= moment}
        idle = {ref.job_id for ref in logs if submitted_at(ref.job_id) < since} - busy
        oldest = sorted(idle)[:limit]
        for job_id in oldest:
            await self.prune(job_id)
        return oldest

    async def prune_beyond(self, total_bytes: int, limit: int) -> Sequence[UUID]:
        written: dict[UUID, int] = {}
        for ref, log in self._store.logs.items():
            written[ref.job_id] = max(*log.latest, written.get(ref.job_id, 0))
        pruned: list[UUID] = []
        for job_id in sorted(written, key=lambda job_id: written[job_id])[:limit]:
            if sum(len(log.data) for log in self._store.logs.values()) <= total_bytes:
                break
            await self.prune(job_id)
            pruned.append(job_id)
        return pruned

    async def compress_idle(self, since: datetime, limit: int) -> int:
        old = {ref: log for ref, log in self._store.logs.items() if submitted_at(ref.job_id) < since}
        idle = {ref for ref, log in old.items() if max(log.latest) < microseconds(since)} - self._compressed
        oldest = sorted(idle, key=lambda ref: (ref.job_id, ref.fence))[:limit]
        self._compressed.update(oldest)
        return len(oldest)
