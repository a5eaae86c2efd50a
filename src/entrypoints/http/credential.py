"""What a caller shows to say who they are."""

from litestar.datastructures import Headers

from entrypoints.http.refusals import TwoCredentials, WrongScheme


def secret_of(headers: Headers) -> str | None:
    """The credential. Two are refused: one of them would be checked and the other believed."""
    bearers, keys = headers.getall("authorization", []), headers.getall("x-api-key", [])
    if len(bearers) + len(keys) > 1:
        raise TwoCredentials("Send one credential, once.")
    if keys:
        return keys[0]
    if not bearers:
        return None
    scheme, _, token = bearers[0].partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise WrongScheme("Send `Authorization: Bearer TOKEN`.")
    return token.strip()
