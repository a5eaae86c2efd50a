"""The contract of AccessStore: API keys, of which only the digest is kept."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from domain.access import Scope, digest_of
from domain.errors import KeyNotFound
from tests.builders import NOON, a_key
from tests.contract.kernels import Kernel

MINUTE = timedelta(minutes=1)
RIVALS = 20


async def test_a_key_is_found_by_its_digest_with_all_that_it_is(kernel: Kernel) -> None:
    key = a_key("etl_secret", scopes=frozenset(Scope), expires_at=NOON + timedelta(days=90))
    await kernel.access.add(key)
    await kernel.access.add(a_key("etl_another"))
    assert await kernel.access.find(digest_of("etl_secret")) == key


async def test_an_unknown_digest_finds_nothing(kernel: Kernel) -> None:
    await kernel.access.add(a_key("etl_secret"))
    assert await kernel.access.find(digest_of("etl_secrets")) is None


async def test_of_look_ups_at_once_each_finds_its_own_key_and_none_where_there_is_none(
    kernel: Kernel,
) -> None:
    keys = [a_key(f"etl_{n}") for n in range(RIVALS)]
    for key in keys:
        await kernel.access.add(key)
    asked = [*(key.digest for key in keys), digest_of("etl_unknown"), keys[0].digest]
    found = await asyncio.gather(*map(kernel.access.find, asked))
    assert list(found) == [*keys, None, keys[0]]


async def test_a_look_up_after_a_revocation_sees_it_whatever_else_is_looked_up(kernel: Kernel) -> None:
    for n in range(RIVALS):
        key = a_key(f"etl_{n}")
        await kernel.access.add(key)
        others = asyncio.gather(*(kernel.access.find(key.digest) for _ in range(5)))
        await asyncio.sleep(0)
        await kernel.access.revoke(key.id, NOON)
        found = await kernel.access.find(key.digest)
        assert found is not None
        assert found.revoked_at == NOON
        await others


async def test_keys_are_listed_newest_first_without_the_revoked(kernel: Kernel) -> None:
    old, young, revoked = (a_key(f"etl_{n}", created_at=NOON + n * MINUTE) for n in range(3))
    expired = a_key("etl_expired", created_at=NOON - MINUTE, expires_at=NOON)
    for key in (young, old, revoked, expired):
        await kernel.access.add(key)
    await kernel.access.revoke(revoked.id, NOON)
    assert list(await kernel.access.list()) == [young, old, expired]


async def test_a_revoked_key_is_still_found_so_that_its_use_can_be_told(kernel: Kernel) -> None:
    key = a_key("etl_secret")
    await kernel.access.add(key)
    revoked = await kernel.access.revoke(key.id, NOON)
    assert revoked.revoked_at == NOON
    found = await kernel.access.find(key.digest)
    assert found == revoked
    assert not found.accepts("etl_secret", NOON)


async def test_revoking_again_keeps_the_first_time(kernel: Kernel) -> None:
    key = a_key()
    await kernel.access.add(key)
    await kernel.access.revoke(key.id, NOON)
    assert (await kernel.access.revoke(key.id, NOON + MINUTE)).revoked_at == NOON


async def test_of_20_rival_revocations_one_time_is_kept_for_all(kernel: Kernel) -> None:
    key = a_key()
    await kernel.access.add(key)
    revoked = await asyncio.gather(*(kernel.access.revoke(key.id, NOON + n * MINUTE) for n in range(RIVALS)))
    assert len({answer.revoked_at for answer in revoked}) == 1


async def test_a_key_that_does_not_exist_cannot_be_revoked(kernel: Kernel) -> None:
    with pytest.raises(KeyNotFound):
        await kernel.access.revoke(uuid4(), NOON)


async def test_the_last_use_is_noted_to_the_minute(kernel: Kernel) -> None:
    key = a_key()
    await kernel.access.add(key)
    for at in (NOON + timedelta(seconds=10), NOON + timedelta(minutes=7, seconds=30)):
        await kernel.access.used(key.id, at)
        found = await kernel.access.find(key.digest)
        assert found is not None
        assert found.last_used_at is not None
        assert abs(found.last_used_at - at) <= MINUTE


async def test_the_use_of_a_key_that_is_gone_is_not_an_error(kernel: Kernel) -> None:
    await kernel.access.used(uuid4(), NOON)
    assert list(await kernel.access.list()) == []
