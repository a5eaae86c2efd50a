"""API keys in memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from adapters.memory.records import Records
from domain.access import ApiKey
from domain.errors import KeyNotFound


class MemoryAccessStore:
    """AccessStore."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def add(self, key: ApiKey) -> None:
        self._records.keys[key.id] = key

    async def find(self, digest: bytes) -> ApiKey | None:
        return next((key for key in self._records.keys.values() if key.digest == digest), None)

    async def list(self) -> Sequence[ApiKey]:
        valid = (key for key in self._records.keys.values() if key.revoked_at is None)
        return sorted(valid, key=lambda key: (key.created_at, key.id), reverse=True)

    async def revoke(self, key_id: UUID, at: datetime) -> ApiKey:
        if (key := self._records.keys.get(key_id)) is None:
            raise KeyNotFound(f"There is no API key {key_id}.")
        self._records.keys[key_id] = revoked = replace(key, revoked_at=key.revoked_at or at)
        return revoked

    async def used(self, key_id: UUID, at: datetime) -> None:
        if key := self._records.keys.get(key_id):
            self._records.keys[key_id] = replace(key, last_used_at=at.replace(second=0, microsecond=0))
