"""API keys on PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import text

from adapters.postgres import mapping
from adapters.postgres.engine import Database
from application.asking.batching import CALLERS_PATIENCE, Batch
from domain.access import ApiKey
from domain.errors import KeyNotFound

_COLUMNS: Final = """
id, name, digest, prefix, scopes, created_at, created_by, expires_at, last_used_at, revoked_at
"""
_ADD: Final = text(f"""
INSERT INTO etl.api_key ({_COLUMNS})
VALUES (:id, :name, :digest, :prefix, CAST(:scopes AS text[]), :created_at, :created_by,
    :expires_at, :last_used_at, :revoked_at)
""")  # noqa: S608 - a constant
# At once, for it is asked at every request.
_FIND: Final = f"""
SELECT {_COLUMNS} FROM etl.api_key WHERE digest = ANY(%(digests)s::bytea[])
"""  # noqa: S608 - as above
_LIST: Final = text(f"""
SELECT {_COLUMNS} FROM etl.api_key WHERE revoked_at IS NULL ORDER BY created_at DESC, id DESC
""")  # noqa: S608 - as above
_REVOKE: Final = text(f"""
UPDATE etl.api_key SET revoked_at = coalesce(revoked_at, :at) WHERE id = :id RETURNING {_COLUMNS}
""")  # noqa: S608 - as above
_USED: Final = text("""
UPDATE etl.api_key SET last_used_at = date_trunc('minute', CAST(:at AS timestamptz))
WHERE id = :id AND (last_used_at IS NULL OR last_used_at < date_trunc('minute', CAST(:at AS timestamptz)))
""")


class PostgresAccessStore:
    """AccessStore."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._finds: Batch[bytes, ApiKey | None] = Batch(self._find, CALLERS_PATIENCE)

    async def add(self, key: ApiKey) -> None:
        row = {
            "id": key.id,
            "name": key.name,
            "digest": key.digest,
            "prefix": key.prefix,
            "scopes": sorted(key.scopes),
            "created_at": key.created_at,
            "created_by": key.created_by,
            "expires_at": key.expires_at,
            "last_used_at": key.last_used_at,
            "revoked_at": key.revoked_at,
        }
        async with self._database.transaction() as connection:
            await connection.execute(_ADD, row)

    async def find(self, digest: bytes) -> ApiKey | None:
        """Each look-up begins after it was asked for, so that a revoked key ends at once; those that come
        while one is under way go together.
        """
        return await self._finds(digest)

    async def list(self) -> Sequence[ApiKey]:
        return [mapping.api_key(row) for row in await self._database.rows(_LIST)]

    async def revoke(self, key_id: UUID, at: datetime) -> ApiKey:
        rows = await self._database.rows(_REVOKE, {"id": key_id, "at": at})
        if not rows:
            raise KeyNotFound(f"There is no API key {key_id}.")
        return mapping.api_key(rows[0])

    async def used(self, key_id: UUID, at: datetime) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(_USED, {"id": key_id, "at": at})

    async def _find(self, digests: Sequence[bytes]) -> Sequence[ApiKey | None]:
        wanted = mapping.array(rf"\\x{digest.hex()}" for digest in set(digests))
        rows = await self._database.at_once(_FIND, {"digests": wanted})
        found = {key.digest: key for key in map(mapping.api_key, rows)}
        return [found.get(digest) for digest in digests]
