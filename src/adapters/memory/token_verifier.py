"""Access tokens in memory: what an issuer has issued, by the token itself."""

from datetime import datetime

from domain.access import Principal
from domain.access_token import Claims
from domain.errors import TokenKeysUnavailable, Unauthenticated


class MemoryTokenVerifier:
    """TokenVerifier. `away`: the issuer cannot be reached, and its keys are not known."""

    def __init__(self) -> None:
        self.issued: dict[str, Claims] = {}
        self.away = False

    async def verify(self, token: str, at: datetime) -> Principal:
        if self.away:
            raise TokenKeysUnavailable("The keys of the tokens' issuer cannot be fetched at the moment.")
        if (claims := self.issued.get(token)) is None:
            raise Unauthenticated("This is neither an API key nor a token.")
        return claims.principal(at)
