"""TokenVerifier: whom an access token speaks for, and which tokens speak for nobody."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.jwt import fixed_key
from adapters.jwt.key_set import KeySet
from adapters.jwt.token_verifier import JwtTokenVerifier, KeySource
from adapters.memory.token_verifier import MemoryTokenVerifier
from adapters.system.clock import SystemClock
from application.ports.token_verifier import TokenVerifier
from domain.access import Scope
from domain.access_token import Claims, scopes_of
from domain.errors import TokenKeysUnavailable, Unauthenticated
from tests import issuer
from tests.issuer import AUDIENCE, ISSUER, SECRET, Heard

RIGS = ("memory", "HS256", "RS256", "PS256", "ES256", "EdDSA", "jwks RS256", "jwks ES384")


@dataclass
class Rig:
    """A verifier, and an issuer of tokens that it believes."""

    verifier: TokenVerifier
    token: Callable[..., str]

    async def verify(self, **changes: Any) -> Any:
        return await self.verifier.verify(self.token(**changes), datetime.now(UTC))


def jwt_verifier(keys: KeySource, *algorithms: str) -> JwtTokenVerifier:
    return JwtTokenVerifier(
        keys=keys, issuer=ISSUER, audience=AUDIENCE, algorithms=algorithms, scope_claim="scope"
    )


def memory_rig() -> Rig:
    verifier = MemoryTokenVerifier()

    def token(**changes: Any) -> str:
        said = issuer.claims(**changes)
        verifier.issued[f"token-{len(verifier.issued)}"] = Claims(
            subject=said["sub"],
            scopes=scopes_of(said.get("scope")),
            issued_at=said["iat"],
            not_before=said["nbf"],
            expires_at=said["exp"],
        )
        return f"token-{len(verifier.issued) - 1}"

    return Rig(verifier, token)


@pytest.fixture(params=RIGS)
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    if request.param == "memory":
        yield memory_rig()
        return
    source, _, algorithm = str(request.param).rpartition(" ")
    async with AsyncExitStack() as stack:
        keys: KeySource
        if source:
            server = await stack.enter_async_context(issuer.jwks_server(issuer.published(algorithm)))
            keys = KeySet(server.url, (algorithm,), SystemClock(), Heard())
        elif algorithm.startswith("HS"):
            keys = fixed_key.from_secret(SECRET, (algorithm,))
        else:
            (tmp_path / "key.pem").write_bytes(issuer.public_pem(algorithm))
            keys = fixed_key.from_file(tmp_path / "key.pem", (algorithm,))
        yield Rig(jwt_verifier(keys, algorithm), lambda **changes: issuer.token(algorithm, **changes))


async def test_a_token_speaks_for_its_subject_with_the_scopes_that_are_ours(rig: Rig) -> None:
    principal = await rig.verify()
    assert principal.name == "alice@example"
    assert principal.scopes == {Scope.JOBS_READ, Scope.JOBS_SUBMIT}
    assert principal.expires_at > datetime.now(UTC)
    assert principal.identity == "sub:alice@example"


async def test_scopes_may_be_a_list_or_missing(rig: Rig) -> None:
    assert (await rig.verify(scope=["logs:read", "x", 5])).scopes == {Scope.LOGS_READ}
    assert (await rig.verify(scope=None)).scopes == frozenset()


async def test_a_token_is_refused_from_the_moment_it_expires(rig: Rig) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    token = rig.token(iat=now, nbf=now, exp=now + timedelta(minutes=5))
    last = now + timedelta(minutes=5)
    assert (await rig.verifier.verify(token, last - timedelta(microseconds=1))).name
    with pytest.raises(Unauthenticated, match="expired"):
        await rig.verifier.verify(token, last)


@pytest.mark.parametrize("claim", ["nbf", "iat"])
async def test_a_token_of_the_future_is_refused(rig: Rig, claim: str) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=1)
    with pytest.raises(Unauthenticated, match="not valid yet"):
        await rig.verify(**{claim: soon})


async def test_a_token_that_lives_longer_than_a_day_is_refused(rig: Rig) -> None:
    now = datetime.now(UTC)
    with pytest.raises(Unauthenticated, match="longer than a day"):
        await rig.verify(iat=now, exp=now + timedelta(hours=24, seconds=1))
    assert await rig.verify(iat=now, exp=now + timedelta(hours=24))


@pytest.mark.parametrize(
    "subject", ["", " x", "a\nb", "a\x1b[31m", "é", "maintenance", "Worker w:1", "x" * 256]
)
async def test_a_subject_that_could_forge_a_line_or_another_actor_is_refused(rig: Rig, subject: str) -> None:
    with pytest.raises(Unauthenticated):
        await rig.verify(sub=subject)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "...", "é.é.é", "x" * 100_000, "etl_secret"])
async def test_what_was_never_issued_is_refused(rig: Rig, token: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        await rig.verifier.verify(token, datetime.now(UTC))
    assert len(token) < 3 or token not in refused.value.detail


async def test_where_the_keys_cannot_be_had_nobody_is_let_in() -> None:
    memory = memory_rig()
    away = MemoryTokenVerifier()
    away.away = True
    published = KeySet("http://127.0.0.1:1/jwks.json", ("RS256",), SystemClock(), Heard())
    for verifier, token in (
        (away, memory.token()),
        (jwt_verifier(published, "RS256"), issuer.token()),
    ):
        with pytest.raises(TokenKeysUnavailable):
            await verifier.verify(token, datetime.now(UTC))
