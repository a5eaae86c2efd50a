"""API keys: issued once, known by their digest, ended by expiry and by revocation."""

from datetime import timedelta
from uuid import UUID

import pytest

from application.authenticate import Authenticate
from application.manage_keys import IssueKey, ListKeys, RevokeKey
from domain.access import Scope
from domain.errors import Forbidden, Invalid, KeyNotFound, Unauthenticated
from tests.unit.application.worlds import ADMIN, ALICE, World

READ = frozenset({Scope.JOBS_READ})


def issue(world: World) -> IssueKey:
    return IssueKey(world.access, world.clock, world.chance)


def authenticate(world: World) -> Authenticate:
    return Authenticate(world.access, world.clock)


async def test_a_key_opens_what_it_was_issued_for(world: World) -> None:
    key, secret = await issue(world)("nightly", READ, None, ADMIN)
    principal = await authenticate(world)(secret)
    assert (principal.name, principal.scopes) == ("nightly", READ)
    assert (key.created_by, key.created_at) == ("admin", world.clock.now())


async def test_the_secret_is_kept_nowhere(world: World) -> None:
    _, secret = await issue(world)("nightly", READ, None, ADMIN)
    assert secret not in repr(world.records.keys)


async def test_the_last_use_is_noted(world: World) -> None:
    key, secret = await issue(world)("nightly", READ, None, ADMIN)
    await authenticate(world)(secret)
    assert world.records.keys[key.id].last_used_at == world.clock.now()


@pytest.mark.parametrize("secret", ["etl_unknown", "unknown", ""])
async def test_an_unknown_secret_opens_nothing(world: World, secret: str) -> None:
    with pytest.raises(Unauthenticated):
        await authenticate(world)(secret)


async def test_an_expired_and_a_revoked_key_open_nothing_and_are_told_the_same(world: World) -> None:
    expires = world.clock.now() + timedelta(days=1)
    _, expired = await issue(world)("a", READ, expires, ADMIN)
    key, revoked = await issue(world)("b", READ, None, ADMIN)
    await authenticate(world)(expired)
    await RevokeKey(world.access, world.clock)(key.id)
    world.clock.advance(24 * 3600)
    told = set()
    for secret in (expired, revoked, "etl_unknown"):
        with pytest.raises(Unauthenticated) as refused:
            await authenticate(world)(secret)
        told.add(refused.value.detail)
    assert len(told) == 1


async def test_a_caller_is_presumed_until_the_minute_is_over_if_the_key_was_found(world: World) -> None:
    _, secret = await issue(world)("a", READ, None, ADMIN)
    asked = authenticate(world)
    assert asked.presumed(secret) is None
    for _ in range(2):
        principal = await asked(secret)
        assert asked.presumed(secret) == principal
        assert asked.presumed(secret + "x") is None
        world.clock.advance(60)
        assert asked.presumed(secret) is None


async def test_nobody_is_presumed_once_the_key_has_expired_or_was_found_revoked(world: World) -> None:
    _, expired = await issue(world)("a", READ, world.clock.now() + timedelta(seconds=1), ADMIN)
    key, revoked = await issue(world)("b", READ, None, ADMIN)
    asked = authenticate(world)
    for secret in (expired, revoked):
        await asked(secret)
    world.clock.advance(1)
    assert asked.presumed(expired) is None
    await RevokeKey(world.access, world.clock)(key.id)
    with pytest.raises(Unauthenticated):
        await asked(revoked)
    assert asked.presumed(revoked) is None


async def test_no_more_keys_are_known_than_fit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("application.authenticate.MAX_KNOWN", 3)
    asked = authenticate(world)
    for n in range(7):
        _, secret = await issue(world)(f"k{n}", READ, None, ADMIN)
        await asked(secret)
    assert len(asked.known) == len(asked.noted) == 1


async def test_a_key_never_grants_more_than_its_issuer_has(world: World) -> None:
    with pytest.raises(Forbidden, match="keys:write"):
        await issue(world)("more", READ | {Scope.KEYS_WRITE}, None, ALICE)
    assert world.records.keys == {}


async def test_a_key_without_a_scope_or_born_expired_is_refused(world: World) -> None:
    with pytest.raises(Invalid) as without_scope:
        await issue(world)("none", frozenset(), None, ADMIN)
    with pytest.raises(Invalid) as expired:
        await issue(world)("old", READ, world.clock.now(), ADMIN)
    pointers = [refused.value.places[0].pointer for refused in (without_scope, expired)]
    assert pointers == ["/scopes", "/expires_at"]


async def test_a_revoked_key_is_listed_no_more(world: World) -> None:
    kept, _ = await issue(world)("kept", READ, None, ADMIN)
    gone, _ = await issue(world)("gone", READ, None, ADMIN)
    await RevokeKey(world.access, world.clock)(gone.id)
    assert [key.id for key in await ListKeys(world.access)()] == [kept.id]


async def test_an_unknown_key_cannot_be_revoked(world: World) -> None:
    with pytest.raises(KeyNotFound):
        await RevokeKey(world.access, world.clock)(UUID(int=7))
