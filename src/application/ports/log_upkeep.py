"""Logs that have become old: deleted, or stored more tightly."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID


class LogUpkeep(Protocol):
    """Beside all who read and write. Whoever reads what is deleted meanwhile gets LogNotFound."""

    async def prune(self, job_id: UUID) -> None:
        """Deletes the logs of all attempts of the job; nothing if there is none."""

    async def prune_idle(self, since: datetime, limit: int) -> Sequence[UUID]:
        """Deletes the logs of at most `limit` jobs that were submitted before `since` and to which
        nothing was written since then, the oldest first; returns these jobs.
        """

    async def prune_beyond(self, total_bytes: int, limit: int) -> Sequence[UUID]:
        """Deletes the logs of at most `limit` jobs until all logs together take at most `total_bytes`:
        first those that were written longest ago, never one that is being written. Returns these jobs.
        """

    async def compress_idle(self, since: datetime, limit: int) -> int:
        """Stores more tightly at most `limit` logs of jobs that were submitted before `since`, to which
        nothing was written since then and which nobody writes any more; returns how many these were.
        What is read of them stays the same, and so do offsets and cursors. Takes its time; cancelled or
        killed at any point it loses nothing.
        """
