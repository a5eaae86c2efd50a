"""Time, identity and chance."""

from datetime import datetime
from typing import Protocol
from uuid import UUID


class Clock(Protocol):
    """The two clocks of a machine."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC. For people: nothing is decided by comparing two machines' walls."""

    def elapsed(self) -> float:
        """Seconds since the machine started, suspended time included (CLOCK_BOOTTIME): never set back."""


class Chance(Protocol):
    """What must not be foreseen, or must not repeat."""

    def new_id(self) -> UUID:
        """A UUIDv7 (RFC 9562): ids sort by the time they were made."""

    def fraction(self) -> float:
        """Uniform in [0, 1)."""

    def secret(self) -> str:
        """256 random bits as 43 URL-safe characters."""
