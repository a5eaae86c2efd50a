"""Keys that an issuer publishes: fetched over HTTP, kept, renewed, and missed when they are away."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.jwt import key_set
from adapters.jwt.key_set import FRESH_SECONDS, KEPT_SECONDS, REST_SECONDS, KeySet
from adapters.jwt.token_verifier import JwtTokenVerifier
from domain.errors import TokenKeysUnavailable, Unauthenticated
from tests import issuer
from tests.fakes.clock import FakeClock
from tests.issuer import AUDIENCE, ISSUER, Heard, JwksServer


class Site:
    """A verifier that has heard of one issuer, and the issuer's web server."""

    def __init__(self, server: JwksServer) -> None:
        self.server, self.clock, self.heard = server, FakeClock(), Heard()
        self.keys = KeySet(server.url, ("RS256",), self.clock, self.heard)
        self.verifier = JwtTokenVerifier(
            keys=self.keys, issuer=ISSUER, audience=AUDIENCE, algorithms=("RS256",), scope_claim="scope"
        )

    async def verify(self, name: str = "first", **changes: Any) -> str:
        token = issuer.token("RS256", name, **changes)
        return (await self.verifier.verify(token, datetime.now(UTC))).name

    async def settle(self) -> None:
        """What is fetched beside the requests has been fetched."""
        if self.keys._fetching is not None:
            await self.keys._fetching


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with issuer.jwks_server(issuer.published("RS256")) as server:
        yield Site(server)


async def test_keys_are_fetched_once_for_many_tokens(site: Site) -> None:
    assert set(await asyncio.gather(*(site.verify() for _ in range(20)))) == {"alice@example"}
    assert site.server.asked == 1


async def test_a_new_key_of_the_issuer_is_found_at_its_first_token(site: Site) -> None:
    await site.verify()
    site.server.keys = [issuer.published("RS256"), issuer.published("RS256", "second")]
    site.clock.advance(REST_SECONDS)
    assert await site.verify("second")
    assert await site.verify("first")
    assert site.server.asked == 2


async def test_unknown_keys_cannot_make_it_ask_more_often_than_it_rests(site: Site) -> None:
    await site.verify()
    site.clock.advance(REST_SECONDS)
    for number in range(50):
        with pytest.raises(Unauthenticated):
            await site.verify(headers={"kid": f"made-up-{number}"})
    assert site.server.asked == 2


async def test_a_withdrawn_key_opens_nothing_once_the_set_is_fetched_again(site: Site) -> None:
    await site.verify()
    site.server.keys = [issuer.published("RS256", "second")]
    site.clock.advance(FRESH_SECONDS + 1)
    assert await site.verify()  # goes on at once with what is known, and fetches beside
    await site.settle()
    with pytest.raises(Unauthenticated):
        await site.verify()


async def test_while_the_issuer_is_away_known_keys_go_on_and_unknown_ones_are_503(site: Site) -> None:
    await site.verify()
    await site.server.stop()
    site.clock.advance(FRESH_SECONDS + 1)
    for _ in range(3):
        assert await site.verify()
        await site.settle()
    with pytest.raises(TokenKeysUnavailable):
        await site.verify("second")
    site.server.keys.append(issuer.published("RS256", "second"))
    await site.server.start()
    site.clock.advance(REST_SECONDS)
    assert await site.verify("second")
    assert site.heard.words == ["there", "away", "there"]


async def test_keys_are_not_believed_for_ever_without_their_issuer(site: Site) -> None:
    await site.verify()
    await site.server.stop()
    site.clock.advance(KEPT_SECONDS + 1)
    with pytest.raises(TokenKeysUnavailable):
        await site.verify()


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, b"{}"), (404, None), (302, None), (200, b"<html>"), (200, b'{"keys": 5}'), (200, b" " * 300_000)],
)
async def test_an_answer_that_is_no_key_set_changes_nothing(
    site: Site, status: int, body: bytes | None
) -> None:
    await site.verify()
    site.server.status, site.server.body = status, body
    site.clock.advance(FRESH_SECONDS + 1)
    await site.verify()
    await site.settle()
    assert site.server.asked == 2
    assert await site.verify()


async def test_an_issuer_that_never_answers_is_given_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_set, "FETCH_SECONDS", 0.2)
    site.server.stalls = True
    async with asyncio.timeout(20):
        with pytest.raises(TokenKeysUnavailable):
            await site.verify()


async def test_only_keys_that_can_be_trusted_are_taken_from_a_set(site: Site) -> None:
    good = issuer.published("RS256", "good")
    site.server.keys = [
        issuer.published("RS256", "for encryption", use="enc"),
        issuer.published("RS256", "another algorithm", alg="RS512"),
        issuer.published("RS256", "private", d="AQAB"),
        {"kty": "oct", "kid": "secret", "k": "c2VjcmV0", "alg": "RS256"},
        {"kty": "oct", "kid": "plain secret", "k": "c2VjcmV0"},
        {"kty": "RSA", "kid": "broken", "n": "!"},
        {"kid": 5, "kty": "RSA"},
        issuer.published("ES256", "curve"),
        good,
    ]
    assert await site.verify("good")
    for name in ("for encryption", "another algorithm", "private", "curve", "secret", "broken"):
        with pytest.raises(Unauthenticated):
            await site.verify(name)


async def test_a_token_that_names_no_key_is_checked_with_the_only_one(site: Site) -> None:
    assert await site.verify(headers={"kid": None})
    site.server.keys.append(issuer.published("RS256", "second"))
    site.clock.advance(FRESH_SECONDS + 1)
    await site.verify()
    await site.settle()
    with pytest.raises(Unauthenticated):
        await site.verify(headers={"kid": None})
