"""The one key that the settings give: a secret that is shared with the issuer, or its public key."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import HMACAlgorithm

from adapters.jwt.public_keys import MIN_RSA_BITS, fits
from domain.access_token import SECRET_BYTES
from domain.errors import WrongSetting


@dataclass(frozen=True, slots=True)
class FixedKey:
    """A source of one key. Which key a token names (`kid`) does not matter."""

    value: Any

    async def key(self, _: str | None, __: str) -> Any:
        return self.value


def from_secret(secret: str, algorithms: tuple[str, ...]) -> FixedKey:
    """Raises WrongSetting for a secret that can be guessed, or that is a key of another kind."""
    value = secret.encode()
    if len(value) < (least := max(SECRET_BYTES[name] for name in algorithms)):
        raise WrongSetting(f"http.jwt.secret: must have at least {least} bytes for {', '.join(algorithms)}.")
    try:
        HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(value)
    except jwt.InvalidKeyError:
        raise WrongSetting(
            "http.jwt.secret: is a public key or a certificate, which everybody may know; set it as"
            " http.jwt.public_key_file."
        ) from None
    return FixedKey(value)


def from_file(path: Path, algorithms: tuple[str, ...]) -> FixedKey:
    """Raises WrongSetting for what is no public key in PEM, or none for these algorithms."""
    place = f"http.jwt.public_key_file: {path}"
    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise WrongSetting(f"{place} cannot be read: {error.strerror}.") from None
    except (ValueError, UnsupportedAlgorithm):
        raise WrongSetting(f"{place} is no public key in PEM (-----BEGIN PUBLIC KEY-----).") from None
    if unfit := [name for name in algorithms if not fits(key, name)]:
        raise WrongSetting(
            f"{place} is no key for {', '.join(unfit)} (RSA: of {MIN_RSA_BITS} bits; ES256: of curve P-256)."
        )
    return FixedKey(key)
