"""Access tokens as JWTs (RFC 7519, with the advice of RFC 8725)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import jwt

from domain.access import Principal
from domain.access_token import REQUIRED, Claims, scopes_of
from domain.errors import Unauthenticated

MAX_LENGTH: Final = 8192
TYPES: Final = (None, "jwt", "at+jwt", "application/at+jwt")
"""Of the `typ` header: a token that says it is something else was made for something else."""


class KeySource(Protocol):
    """Raises Unauthenticated, TokenKeysUnavailable."""

    async def key(self, kid: str | None, algorithm: str) -> Any: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtTokenVerifier:
    """TokenVerifier. `algorithms` are all of one family: a public key is never taken for a secret."""

    keys: KeySource
    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    scope_claim: str

    async def verify(self, token: str, at: datetime) -> Principal:
        header = _header(token)
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in self.algorithms:
            raise Unauthenticated("This token is signed by an algorithm that is not accepted here.")
        if not isinstance(kid, str | None):
            raise Unauthenticated("This is no token.")
        # Nothing else of the header is heeded: by `jwk`, `jku` or `x5u` a token would bring its own key.
        key = await self.keys.key(kid, str(algorithm))
        return self._claims(token, key, str(algorithm)).principal(at)

    def _claims(self, token: str, key: Any, algorithm: str) -> Claims:
        try:
            given = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self.audience,
                issuer=self.issuer,
                # The clock is asked once, by whoever calls: Claims.principal looks at these.
                options={
                    "require": list(REQUIRED),
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
            return Claims(
                subject=given["sub"],
                scopes=scopes_of(given.get(self.scope_claim)),
                issued_at=_instant(given["iat"]),
                not_before=_instant(given["nbf"]),
                expires_at=_instant(given["exp"]),
            )
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise Unauthenticated(_sentence(error)) from None


def _header(token: str) -> Mapping[str, Any]:
    try:
        header = jwt.get_unverified_header(token) if len(token) <= MAX_LENGTH else {}
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        header = {}
    kind = header.get("typ")
    if "crit" in header or (kind.lower() if isinstance(kind, str) else kind) not in TYPES:
        raise Unauthenticated("This token demands what is not known here.")
    if not header:
        raise Unauthenticated("This is neither an API key nor a token.")
    return header


def _instant(value: object) -> datetime:
    """NumericDate (RFC 7519, 2). A number in a string is none, and `true` neither."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError
    return datetime.fromtimestamp(value, UTC)


def _sentence(error: Exception) -> str:
    match error:
        case jwt.InvalidIssuerError() | jwt.InvalidAudienceError():
            return "This token is of another issuer, or for another audience."
        case jwt.MissingRequiredClaimError(claim=claim):
            return f"This token lacks the claim `{claim}`."
        case jwt.InvalidSignatureError():
            return "The signature of this token is wrong."
        case _:
            return "This is no token that can be read."
