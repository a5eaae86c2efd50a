"""Access tokens that others have issued."""

from datetime import datetime
from typing import Protocol

from domain.access import Principal


class TokenVerifier(Protocol):
    """Believes one issuer, for one audience, by algorithms and keys that were set beforehand: nothing
    that a token says of its own key is followed.
    """

    async def verify(self, token: str, at: datetime) -> Principal:
        """Whom a token speaks for. Raises Unauthenticated with a sentence that never holds any of it, and
        TokenKeysUnavailable where the issuer's keys cannot be had at the moment.
        """
