"""Compress: what is rarely read any more."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from application.ports.clock import Clock
from application.ports.log_upkeep import LogUpkeep

BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class CompressLogs:
    """Compresses logs to which nothing was written for `after_seconds`; they are read as before."""

    upkeep: LogUpkeep
    clock: Clock
    after_seconds: float

    async def __call__(self) -> int:
        """How many logs; what is left over comes with the next tick."""
        since = self.clock.now() - timedelta(seconds=self.after_seconds)
        return await self.upkeep.compress_idle(since, BATCH)
