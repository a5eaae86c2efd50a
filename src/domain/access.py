"""Who may do what: scopes, principals, and API keys of which only a digest is kept."""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from domain.errors import Forbidden, MissingScope

PREFIX: Final = "etl_"
NAMED_LENGTH: Final = 8
NOT_VALID: Final = "This API key is not valid: it is unknown, expired or revoked."


class Scope(StrEnum):
    """What a key may do. `admin` is all."""

    JOBS_READ = "jobs:read"
    JOBS_SUBMIT = "jobs:submit"
    JOBS_COMMAND = "jobs:command"
    """Submit a bare argv: code execution with the worker's rights, by design."""

    JOBS_CANCEL = "jobs:cancel"
    LOGS_READ = "logs:read"
    QUEUES_WRITE = "queues:write"
    WORKERS_WRITE = "workers:write"
    KEYS_WRITE = "keys:write"
    METRICS_READ = "metrics:read"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Whom a request comes from. `name` stands in events: a key's name, or the `sub` of an access token.

    Names may be shared; what must not be mixed up goes by `identity`.
    """

    name: str
    scopes: frozenset[Scope]
    key_id: UUID | None = None
    by_token: bool = False
    expires_at: datetime | None = None
    """When the credential ends by itself."""

    @property
    def identity(self) -> str:
        """A key's is its own, however many keys have the name; a `sub` cannot take that of a key."""
        if self.key_id is not None:
            return f"key:{self.key_id}"
        return f"sub:{self.name}" if self.by_token else f"name:{self.name}"

    def has(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def require(self, scope: Scope) -> None:
        """Raises MissingScope, which names the scope."""
        if not self.has(scope):
            raise MissingScope(f"This needs the scope `{scope}`, which {self.name!r} does not have.")

    def require_to_grant(self, scopes: Iterable[Scope]) -> None:
        """A key can never grant more than its issuer has."""
        if missing := sorted(s for s in scopes if not self.has(s)):
            raise Forbidden(f"{self.name!r} cannot grant what it does not have: {', '.join(missing)}.")

    def require_to_outlive(self, expires_at: datetime | None) -> None:
        """A key that ends cannot issue one that ends later: it would live on in it.

        A token is another matter: it ends within a day, and whom it speaks for does not end with it.
        """
        if self.key_id is None or self.expires_at is None:
            return
        if expires_at is None or expires_at > self.expires_at:
            ends = self.expires_at.isoformat()
            raise Forbidden(f"{self.name!r} ends at {ends}, and cannot issue a key that ends later.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key without its secret. `digest` is SHA-256 of the secret: 256 random bits need no slow hash."""

    id: UUID
    name: str
    digest: bytes
    prefix: str
    scopes: frozenset[Scope]
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None

    def accepts(self, secret: str, at: datetime) -> bool:
        """Whether `secret` is this key's and still valid, compared in constant time."""
        if not hmac.compare_digest(self.digest, digest_of(secret)):
            return False
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)

    @property
    def principal(self) -> Principal:
        return Principal(name=self.name, scopes=self.scopes, key_id=self.id, expires_at=self.expires_at)


def digest_of(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def prefix_of(secret: str) -> str:
    """What of a secret may be shown and searched for: `etl_` and 8 characters of 43."""
    return secret[: len(PREFIX) + NAMED_LENGTH]
