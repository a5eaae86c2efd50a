"""Buckets in memory, of one process."""

from application.ports.clock import Clock
from domain.rate import Rate, Taken, take


class MemoryRateLimits:
    """RateLimits."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.full_at: dict[str, float] = {}

    async def take(self, subject: str, rate: Rate, wanted: int) -> Taken:
        now = self._clock.elapsed()
        full_at, granted = take(rate, self.full_at.get(subject, now), now, wanted)
        self.full_at[subject] = full_at
        return Taken.of(rate, granted, full_at - now)

    async def forget(self) -> int:
        now = self._clock.elapsed()
        full = [subject for subject, full_at in self.full_at.items() if full_at <= now]
        for subject in full:
            del self.full_at[subject]
        return len(full)
