"""Who verifies access tokens. Where none are accepted nothing is imported: it takes 10 MB."""

from application.ports.clock import Clock
from application.ports.token_verifier import TokenVerifier
from entrypoints.settings.schema import Jwt
from entrypoints.telemetry import Outage


def verifier_of(settings: Jwt, clock: Clock, told: Outage) -> TokenVerifier | None:
    """None where `http.jwt` is unset. Raises WrongSetting for a key that cannot be used."""
    if not settings.sources:
        return None
    from adapters.jwt.configured import token_verifier  # noqa: PLC0415 - as above

    return token_verifier(settings, clock, told)
