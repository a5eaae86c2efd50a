"""Who is calling."""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from application.ports.access_store import AccessStore
from application.ports.clock import Clock
from application.ports.token_verifier import TokenVerifier
from domain.access import PREFIX, ApiKey, Principal, digest_of
from domain.errors import DatabaseUnavailable, Unauthenticated

MAX_NOTED: Final = 10_000
NOT_VALID: Final = "This API key is not valid: it is unknown, expired or revoked."
DOTS: Final = 2
"""Of a token: header, claims and signature lie between them (RFC 7515, 7.1)."""


@dataclass(frozen=True, slots=True)
class Authenticate:
    """From a credential to the principal behind it: an API key's secret, or an access token.

    A key is asked for anew each time, so that a revoked one ends at once in every process.
    """

    access: AccessStore
    clock: Clock
    tokens: TokenVerifier | None = None
    noted: dict[UUID, datetime] = field(default_factory=dict)
    """The minute in which this process last noted the use of a key: not one write a request."""

    async def __call__(self, credential: str) -> Principal:
        """Raises Unauthenticated, with the same sentence for an unknown, expired and revoked key, and
        what TokenVerifier raises.
        """
        now = self.clock.now()
        if credential.startswith(PREFIX):
            return (await self._key(credential, now)).principal
        if self.tokens is None or credential.count(".") != DOTS:
            raise Unauthenticated(NOT_VALID)
        return await self.tokens.verify(credential, now)

    async def _key(self, secret: str, now: datetime) -> ApiKey:
        # Found by its digest: how long the search takes says nothing of a secret.
        key = await self.access.find(digest_of(secret))
        if key is None or not key.accepts(secret, now):
            raise Unauthenticated(NOT_VALID)
        await self._note(key.id, now)
        return key

    async def _note(self, key_id: UUID, now: datetime) -> None:
        minute = now.replace(second=0, microsecond=0)
        if self.noted.get(key_id) == minute:
            return
        if len(self.noted) >= MAX_NOTED:
            self.noted.clear()
        self.noted[key_id] = minute
        with suppress(DatabaseUnavailable):  # a read-only database still answers reads
            await self.access.used(key_id, now)
