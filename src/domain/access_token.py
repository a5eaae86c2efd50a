"""Access tokens (JWT, RFC 7519 and 9068): what their claims must say, once the signature has been checked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from domain.access import Principal, Scope
from domain.errors import Unauthenticated

REQUIRED: Final = ("iss", "sub", "aud", "exp", "nbf", "iat")
MAX_LIFETIME: Final = timedelta(hours=24)
"""Nobody can revoke a token, so none is believed for longer."""

SKEW: Final = timedelta(seconds=5)
"""By how much the issuer's clock may be ahead. It prolongs no token: `exp` is taken as it stands."""

FAMILIES: Final[Mapping[str, tuple[str, ...]]] = {
    "secret": ("HS256", "HS384", "HS512"),
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
"""Algorithms (RFC 7518, 8037) by the kind of key that they take. `none` is in none of them."""

SECRET_BYTES: Final[Mapping[str, int]] = {"HS256": 32, "HS384": 48, "HS512": 64}
"""How long a secret must be: no shorter than the hash (RFC 7518, 3.2)."""

_SUBJECT: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?", re.ASCII)
_RESERVED: Final = re.compile(r"maintenance|anonymous|installation|worker .*", re.ASCII | re.IGNORECASE)


def family_of(algorithm: str) -> str | None:
    return next((family for family, names in FAMILIES.items() if algorithm in names), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Of a token whose signature, issuer and audience have been found right."""

    subject: str
    scopes: frozenset[Scope]
    issued_at: datetime
    not_before: datetime
    expires_at: datetime

    def principal(self, at: datetime) -> Principal:
        """Whom the token speaks for at this moment. Raises Unauthenticated."""
        if at >= self.expires_at:
            raise Unauthenticated("This token has expired.")
        if max(self.not_before, self.issued_at) > at + SKEW:
            raise Unauthenticated("This token is not valid yet.")
        if self.expires_at - self.issued_at > MAX_LIFETIME:
            raise Unauthenticated("This token lives longer than a day; ask its issuer for a shorter one.")
        if not _SUBJECT.fullmatch(self.subject) or _RESERVED.fullmatch(self.subject):
            raise Unauthenticated("The `sub` of this token cannot stand as an actor.")
        return Principal(name=self.subject, scopes=self.scopes, by_token=True, expires_at=self.expires_at)


def scopes_of(claim: object) -> frozenset[Scope]:
    """Of a string with spaces (RFC 8693, 4.2), or a list. Scopes of other services are passed over."""
    words = claim.split(" ") if isinstance(claim, str) else claim if isinstance(claim, list) else ()
    known = {str(scope): scope for scope in Scope}
    return frozenset(known[word] for word in words if isinstance(word, str) and word in known)
