"""API keys: issue, list, revoke."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from application.ports.access_store import AccessStore
from application.ports.clock import Chance, Clock
from domain.access import PREFIX, ApiKey, Principal, Scope, digest_of, prefix_of
from domain.errors import Invalid, Place


@dataclass(frozen=True, slots=True)
class IssueKey:
    """A new key; its secret is returned here, and never again."""

    access: AccessStore
    clock: Clock
    chance: Chance

    async def __call__(
        self, name: str, scopes: frozenset[Scope], expires_at: datetime | None, by: Principal
    ) -> tuple[ApiKey, str]:
        """Raises Forbidden where the issuer lacks a scope or ends before the key, Invalid for no scope or
        a past expiry.
        """
        by.require_to_grant(scopes)
        by.require_to_outlive(expires_at)
        now = self.clock.now()
        if not scopes:
            raise Invalid("A key without a scope opens nothing.", [Place("/scopes", "name at least one")])
        if expires_at is not None and expires_at <= now:
            raise Invalid("The key would be born expired.", [Place("/expires_at", "is in the past")])
        secret = PREFIX + self.chance.secret()
        key = ApiKey(
            id=self.chance.new_id(),
            name=name,
            digest=digest_of(secret),
            prefix=prefix_of(secret),
            scopes=scopes,
            created_at=now,
            created_by=by.name,
            expires_at=expires_at,
        )
        await self.access.add(key)
        return key, secret


@dataclass(frozen=True, slots=True)
class ListKeys:
    """Every key that was not revoked."""

    access: AccessStore

    async def __call__(self) -> Sequence[ApiKey]:
        return await self.access.list()


@dataclass(frozen=True, slots=True)
class RevokeKey:
    """The key opens nothing from now on."""

    access: AccessStore
    clock: Clock

    async def __call__(self, key_id: UUID) -> ApiKey:
        """Raises KeyNotFound."""
        return await self.access.revoke(key_id, self.clock.now())
