"""The machine's own clocks and its own randomness."""

import secrets
import time
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid7

# Only Linux names this clock; elsewhere a suspended machine's sleep is not counted.
_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_SECRET_BYTES: Final = 32
_random: Final = secrets.SystemRandom()


class SystemClock:
    """Clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def elapsed(self) -> float:
        return time.clock_gettime(_CLOCK)


class SystemChance:
    """Chance. Ids made by one process sort in the order in which they were made."""

    def new_id(self) -> UUID:
        return uuid7()

    def fraction(self) -> float:
        return _random.random()

    def secret(self) -> str:
        return secrets.token_urlsafe(_SECRET_BYTES)
