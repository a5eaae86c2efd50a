"""The verifier that the settings ask for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from adapters.jwt import fixed_key
from adapters.jwt.key_set import KeySet, Told
from adapters.jwt.token_verifier import JwtTokenVerifier, KeySource
from application.ports.clock import Clock
from application.ports.token_verifier import TokenVerifier


class JwtSettings(Protocol):
    """`http.jwt`, found consistent. At most one of the three ways to a key is set: `sources` names it."""

    @property
    def issuer(self) -> str | None: ...
    @property
    def audience(self) -> str | None: ...
    @property
    def jwks_url(self) -> str | None: ...
    @property
    def public_key_file(self) -> Path | None: ...
    @property
    def secret(self) -> str | None: ...
    @property
    def pinned(self) -> tuple[str, ...]: ...
    @property
    def scope_claim(self) -> str: ...
    @property
    def sources(self) -> Sequence[str]: ...


def token_verifier(settings: JwtSettings, clock: Clock, told: Told) -> TokenVerifier | None:
    """None where access tokens are not accepted. Raises WrongSetting for a key that cannot be used.
    Fetches nothing yet.
    """
    if not settings.sources:
        return None
    return JwtTokenVerifier(
        keys=_keys(settings, clock, told),
        issuer=str(settings.issuer),
        audience=str(settings.audience),
        algorithms=settings.pinned,
        scope_claim=settings.scope_claim,
    )


def _keys(settings: JwtSettings, clock: Clock, told: Told) -> KeySource:
    if settings.jwks_url is not None:
        return KeySet(settings.jwks_url, settings.pinned, clock, told)
    if settings.public_key_file is not None:
        return fixed_key.from_file(settings.public_key_file, settings.pinned)
    return fixed_key.from_secret(str(settings.secret), settings.pinned)
