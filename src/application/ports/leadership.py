"""One of many does the maintenance."""

from typing import Protocol


class Leadership(Protocol):
    """Held while the holder's connection lives; a leader that dies is replaced within seconds.

    Not a fence: for a moment two may believe to lead, so every duty is idempotent.
    """

    async def campaign(self) -> bool:
        """Whether this process leads now; becomes the leader where there is none. Never raises."""

    async def resign(self) -> None:
        """May be called again."""
