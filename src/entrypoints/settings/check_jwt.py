"""What the settings of access tokens must say together, or nothing starts."""

from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from domain.access_token import FAMILIES, family_of
from domain.errors import WrongSetting
from entrypoints.settings.addresses import is_loopback
from entrypoints.settings.schema import Jwt

SECTION: Final = "http.jwt"


def check_jwt(jwt: Jwt, origins: Mapping[str, str]) -> None:
    """Raises WrongSetting. What the keys themselves are is seen when they are read (adapters/jwt)."""
    for name, wrong in _mistakes(jwt, origins):
        place = origins[f"{SECTION}.{name}"]
        raise WrongSetting(f"{f'{SECTION}.{name}' if place == 'default' else place}: {wrong}")


def _mistakes(jwt: Jwt, origins: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each by its setting; the first one is told."""
    if not jwt.sources:
        for key, place in origins.items():
            if key.startswith(f"{SECTION}.") and place != "default":
                keys = "http.jwt.jwks_url, http.jwt.public_key_file or http.jwt.secret"
                yield key.rpartition(".")[2], f"opens nothing without a key: set {keys}."
        return
    if len(jwt.sources) > 1:
        yield jwt.sources[1], f"keys come from one place, and http.jwt.{jwt.sources[0]} is set too."
    for name in ("issuer", "audience"):
        if getattr(jwt, name) is None:
            yield name, "must be set: a token of anybody, or for anybody, would open this service."
    yield from _wrong_algorithms(jwt)
    if jwt.jwks_url is not None and not _is_safe(jwt.jwks_url):
        yield "jwks_url", "must begin with https:// (http:// is for a loopback host only)."


def _wrong_algorithms(jwt: Jwt) -> Iterator[tuple[str, str]]:
    families = {name: family_of(name) for name in jwt.pinned}
    if unknown := [name for name, family in families.items() if family is None]:
        every = ", ".join(name for names in FAMILIES.values() for name in names)
        yield "algorithms", f"{', '.join(unknown)} is not accepted here; choose of {every}."
    elif len(set(families.values())) > 1:
        yield "algorithms", "must be of one family, or a public key could be taken for a secret."
    elif ("secret" in families.values()) != (jwt.secret is not None):
        which = (
            "HS256, HS384 or HS512" if jwt.secret is not None else "those of a public key (RS256, ES256, …)"
        )
        yield "algorithms", f"with http.jwt.{jwt.sources[0]} must be {which}."


def _is_safe(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    host = parts.hostname or ""
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))
