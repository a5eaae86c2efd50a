"""Who is calling."""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from application.ports.access_store import AccessStore
from application.ports.clock import Clock
from application.ports.token_verifier import TokenVerifier
from domain.access import NOT_VALID, PREFIX, ApiKey, Principal, digest_of
from domain.errors import DatabaseUnavailable, Unauthenticated

MAX_KNOWN: Final = 10_000
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

    known: dict[bytes, ApiKey] = field(default_factory=dict)
    """The keys that were found valid in that minute, by their digests."""

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

    def presumed(self, credential: str) -> Principal | None:
        """Who calls, if it was so earlier in this minute: the key may have been revoked since. For those who
        ask whether it stands before they do or tell anything.
        """
        now = self.clock.now()
        key = self.known.get(digest_of(credential))
        if key is None or self.noted.get(key.id) != _minute(now) or not key.accepts(credential, now):
            return None
        return key.principal

    async def _key(self, secret: str, now: datetime) -> ApiKey:
        # Found by its digest: how long the search takes says nothing of a secret.
        digest = digest_of(secret)
        key = await self.access.find(digest)
        if key is None or not key.accepts(secret, now):
            self.known.pop(digest, None)
            raise Unauthenticated(NOT_VALID)
        await self._note(key, now)
        return key

    async def _note(self, key: ApiKey, now: datetime) -> None:
        if len(self.known) >= MAX_KNOWN:
            self.known.clear()
            self.noted.clear()
        self.known[key.digest] = key
        if self.noted.get(key.id) == (minute := _minute(now)):
            return
        self.noted[key.id] = minute
        with suppress(DatabaseUnavailable):  # a read-only database still answers reads
            await self.access.used(key.id, now)


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)
