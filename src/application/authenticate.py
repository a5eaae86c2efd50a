"""Who is calling."""

from dataclasses import dataclass

from application.ports.access_store import AccessStore
from application.ports.clock import Clock
from domain.access import PREFIX, Principal, digest_of
from domain.errors import Unauthenticated


@dataclass(frozen=True, slots=True)
class Authenticate:
    """From an API key's secret to the principal behind it.

    Asked anew each time, so that a revoked key ends at once in every process.
    """

    access: AccessStore
    clock: Clock

    async def __call__(self, secret: str) -> Principal:
        """Raises Unauthenticated with the same sentence for an unknown, expired and revoked key."""
        now = self.clock.now()
        key = await self.access.find(digest_of(secret)) if secret.startswith(PREFIX) else None
        if key is None or not key.accepts(secret, now):
            raise Unauthenticated("This API key is not valid: it is unknown, expired or revoked.")
        await self.access.used(key.id, now)
        return key.principal
