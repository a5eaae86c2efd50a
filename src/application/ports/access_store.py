"""API keys."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.access import ApiKey


class AccessStore(Protocol):
    """Raises DatabaseUnavailable."""

    async def add(self, key: ApiKey) -> None: ...

    async def find(self, digest: bytes) -> ApiKey | None:
        """The key of this digest, revoked and expired ones too."""

    async def list(self) -> Sequence[ApiKey]:
        """Newest first, without the revoked ones."""

    async def revoke(self, key_id: UUID, at: datetime) -> ApiKey:
        """Raises KeyNotFound. Revoking again keeps the first time."""

    async def used(self, key_id: UUID, at: datetime) -> None:
        """Notes the last use, to the minute: not one write a request."""
