"""How often a caller may call."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from application.ports.clock import Clock
from application.ports.rate_limits import RateLimits
from domain.errors import RateExceeded
from domain.rate import Rate, Taken

MAX_SUBJECTS: Final = 10_000
"""More are forgotten, the oldest first: then they cost a question to the store again."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left to a subject as far as this process knows."""

    rate: Rate
    left: int
    full_in_seconds: float


@dataclass(slots=True)
class Lot:
    """What this process has taken of a bucket, and not used yet. The instants are on Clock.elapsed()."""

    left: int = 0
    until: float = 0.0
    left_behind: int = 0
    full_at: float = 0.0
    refused_until: float = 0.0
    taking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def is_over(self, now: float) -> bool:
        return max(self.until, self.refused_until, self.full_at) <= now and not self.taking.locked()


@dataclass(frozen=True, slots=True)
class LimitRate:
    """Counts calls by their subject. True over all processes: calls are taken from one store, in lots.

    So most calls ask nobody, and a refusal is remembered until it ends. The price: no more than the rate
    and one lot (5 %) pass in any time, and where several processes serve one subject, each may hold up
    to a lot that another would have used, for `Rate.lot_seconds` at most.
    """

    limits: RateLimits
    clock: Clock
    rate: Rate
    kind: str
    lots: dict[str, Lot] = field(default_factory=dict)

    async def __call__(self, subject: str) -> Quota:
        """Counts one call. Raises RateExceeded, and DatabaseUnavailable where it cannot be counted."""
        if (lot := self.lots.get(subject)) is None:
            self._make_room()
            lot = self.lots[subject] = Lot()
        if not self._has(lot):
            async with lot.taking:  # of calls that come together one asks
                if not self._has(lot):
                    await self._take(subject, lot)
        lot.left -= 1
        return self._quota(lot)

    def known(self, subject: str) -> Quota:
        """Without counting, and without asking."""
        lot = self.lots.get(subject)
        return Quota(self.rate, self.rate.quota, 0.0) if lot is None else self._quota(lot)

    def _has(self, lot: Lot) -> bool:
        """Raises RateExceeded while a refusal holds."""
        now = self.clock.elapsed()
        if now < lot.refused_until:
            raise self._exceeded(lot.refused_until - now)
        return lot.left > 0 and now < lot.until

    async def _take(self, subject: str, lot: Lot) -> None:
        asked_at = self.clock.elapsed()
        taken: Taken = await self.limits.take(f"{self.kind} {subject}", self.rate, self.rate.lot)
        lot.left, lot.until = taken.granted, asked_at + self.rate.lot_seconds
        lot.left_behind, lot.full_at = taken.left, asked_at + taken.full_in_seconds
        if not taken.granted:
            lot.refused_until = asked_at + taken.wait_seconds
            raise self._exceeded(taken.wait_seconds)

    def _quota(self, lot: Lot) -> Quota:
        """What has come back since the last lot was taken does not count, until all has."""
        now = self.clock.elapsed()
        if now >= lot.full_at:
            return Quota(self.rate, self.rate.quota, 0.0)
        held = lot.left if now < lot.until else 0
        return Quota(self.rate, lot.left_behind + held, lot.full_at - now)

    def _exceeded(self, wait_seconds: float) -> RateExceeded:
        often = f"{self.rate.quota} in {self.rate.seconds:g} s"
        return RateExceeded(f"No more than {often} are taken from you.", wait_seconds)

    def _make_room(self) -> None:
        if len(self.lots) < MAX_SUBJECTS:
            return
        now = self.clock.elapsed()
        for subject in [subject for subject, lot in self.lots.items() if lot.is_over(now)]:
            del self.lots[subject]
        while len(self.lots) >= MAX_SUBJECTS:
            del self.lots[next(iter(self.lots))]
