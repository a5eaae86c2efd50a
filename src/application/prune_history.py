"""Prune: what retention no longer asks to keep."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from application.ports.clock import Clock
from application.ports.job_history import JobHistory
from application.ports.log_upkeep import LogUpkeep

BATCH: Final = 500
LARGE_BATCH: Final = 5000
"""Where each look goes over all logs."""


@dataclass(frozen=True, slots=True)
class PruneJobs:
    """Deletes final jobs older than `keep_seconds`, with their logs, in small steps."""

    history: JobHistory
    upkeep: LogUpkeep
    clock: Clock
    keep_seconds: float

    async def __call__(self) -> int:
        """How many jobs went; what is left over comes with the next tick."""
        before = self.clock.now() - timedelta(seconds=self.keep_seconds)
        job_ids = await self.history.prune(before, BATCH)
        for job_id in job_ids:
            await self.upkeep.prune(job_id)
        return len(job_ids)


@dataclass(frozen=True, slots=True)
class PruneLogs:
    """Deletes logs to which nothing was written for `keep_seconds`; their jobs stay.

    Also those whose job went while this machine could not delete them.
    """

    upkeep: LogUpkeep
    clock: Clock
    keep_seconds: float

    async def __call__(self) -> int:
        """Of how many jobs logs went; what is left over comes with the next tick."""
        since = self.clock.now() - timedelta(seconds=self.keep_seconds)
        return len(await self.upkeep.prune_idle(since, BATCH))


@dataclass(frozen=True, slots=True)
class LimitLogs:
    """Deletes logs, those written longest ago first, while all together take more than `total_bytes`."""

    upkeep: LogUpkeep
    total_bytes: int | None

    async def __call__(self) -> int:
        """Of how many jobs logs went. Without a limit it looks at nothing."""
        if self.total_bytes is None:
            return 0
        return len(await self.upkeep.prune_beyond(self.total_bytes, LARGE_BATCH))
