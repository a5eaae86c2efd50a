"""How often each caller has called, counted over all processes."""

from typing import Protocol

from domain.rate import Rate, Taken


class RateLimits(Protocol):
    """One bucket a subject, full at first. Counts are lost in a crash of the store, in the callers' favour.

    Raises DatabaseUnavailable.
    """

    async def take(self, subject: str, rate: Rate, wanted: int) -> Taken:
        """Takes up to `wanted`: what the bucket has. Of many that take at once, all together get no more
        than it had.
        """

    async def forget(self) -> int:
        """Forgets buckets that are full again; how many, at most some thousand a call."""
