"""Which public keys an algorithm takes, and how strong they must be."""

from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from domain.access_token import family_of

MIN_RSA_BITS: Final = 2048
_CURVES: Final = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}


def fits(key: object, algorithm: str) -> bool:
    """Whether `key` is of the algorithm's kind, on its curve, and long enough."""
    match key:
        case RSAPublicKey():
            return family_of(algorithm) == "RSA" and key.key_size >= MIN_RSA_BITS
        case EllipticCurvePublicKey():
            return _CURVES.get(algorithm) == key.curve.name
        case Ed25519PublicKey() | Ed448PublicKey():
            return family_of(algorithm) == "OKP"
    return False
