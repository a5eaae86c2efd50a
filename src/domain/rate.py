"""How often somebody may call: a bucket that holds a quota and fills evenly (GCRA, ITU-T I.371)."""

import math
from dataclasses import dataclass
from typing import Final

LOTS: Final = 20
"""A process takes a twentieth of the quota at a time, and counts that by itself."""

EXACT: Final = 1e-6
"""Sums of fractions of a second are off by less; without it a whole call would be lost to them."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`quota` calls at once, and as many again evenly within each `seconds`."""

    quota: int
    seconds: float

    @property
    def interval(self) -> float:
        return self.seconds / self.quota

    @property
    def lot(self) -> int:
        return max(1, self.quota // LOTS)

    @property
    def lot_seconds(self) -> float:
        """How long the bucket takes to earn a lot. What of one was not used by then is dropped, which
        costs the caller nothing, and bounds what can be used late.
        """
        return self.lot * self.interval


@dataclass(frozen=True, slots=True)
class Taken:
    """What a bucket gave. Of nothing, `wait_seconds` says when it has something again."""

    granted: int
    left: int
    full_in_seconds: float
    wait_seconds: float

    @classmethod
    def of(cls, rate: Rate, granted: int, full_in_seconds: float) -> "Taken":
        """`full_in_seconds` counts from now, what was granted included."""
        left = math.floor((rate.seconds - full_in_seconds) / rate.interval + EXACT)
        wait = 0.0 if granted else max(0.0, full_in_seconds + rate.interval - rate.seconds)
        return cls(granted, max(0, left), full_in_seconds, wait)


def take(rate: Rate, full_at: float, now: float, wanted: int) -> tuple[float, int]:
    """When the bucket will be full again, and how many calls of `wanted` it grants."""
    begin = max(full_at, now)
    room = max(0, math.floor((now + rate.seconds - begin) / rate.interval + EXACT))
    granted = min(wanted, room)
    return begin + granted * rate.interval, granted
